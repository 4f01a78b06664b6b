"""The objects of a PIV card as they are now: read once, remembered with their evidence, proved before they are used
again.

While nobody else can have touched the card, an object costs nothing. Otherwise it costs one exchange: its first 256
bytes, compared with the remembered ones; an object that is absent is asked for again, for another program may have
written it. Exchanges with short lengths, for n certificates in the four fixed slots, r certificates in retired slots:

============================================  ===================================================================
read cold                                     2 + (blocks of 256 bytes of each certificate) + 1 for each empty fixed
                                              slot + 1 (Key History)
again, nobody else can have touched the card  0
again, after re-insertion or foreign use      2 + 4 + r + 1: SELECT, CHUID, each fixed slot full or empty, each
                                              retired one, Key History
============================================  ===================================================================

Source: SP 800-73-4 part 1, 3 (objects); part 2, 3.1.2 (GET DATA).
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from calais.cards.piv import edge, keeping, objects, spec
from calais.cards.piv.chuid import Chuid, parse_chuid
from calais.cards.piv.keys import certificate_key
from calais.cards.piv.objects import KeyHistory, parse_certificate, parse_discovery, parse_key_history
from calais.cards.piv.policy import PivPolicy
from calais.iso7816 import tlv
from calais.minidriver.memo import HEAD_SIZE, Basis, CardMemo, Evidence, Remembered, Verdict, judge, proves
from calais.transport.base import Transaction
from calais.win.errors import BadData, Unsupported

FIXED_SLOTS = spec.SLOTS[:4]
RETIRED_SLOTS = spec.SLOTS[4:]
DISCOVERY = "piv.discovery"


@dataclass(frozen=True, slots=True)
class SlotCertificate:
    """What was made of a certificate object: the certificate (DER) and its key; ``None`` and the reason when it cannot
    be read.
    """

    der: bytes | None
    key: PublicKeyTypes | None
    problem: BadData | Unsupported | None = None

    @classmethod
    def of(cls, content: bytes) -> SlotCertificate:
        """Read a certificate object; never raises."""
        der = None
        try:
            der = parse_certificate(content)
            return cls(der, certificate_key(der))
        except (BadData, Unsupported) as problem:
            return cls(der, None, problem)


class CardView:
    """The card of one transaction, seen through what is remembered of it.

    Args:
        tx: the transaction.
        memo: what is remembered; updated.
        policy: how to prove, and which slots to look at.
    """

    def __init__(self, tx: Transaction, memo: CardMemo, policy: PivPolicy) -> None:
        self.tx = tx
        self.memo = memo
        self.policy = policy

    @property
    def now(self) -> Evidence:
        """The evidence of what is seen now."""
        return Evidence.of(self.tx)

    # --- who is it ---------------------------------------------------------------------------------------------------

    def prove_card(self) -> None:
        """Make sure that the memory is this card's: SELECT and the first 256 bytes of the CHUID, unless nobody else can
        have touched the card since.
        """
        memo, now = self.memo, self.now
        if memo.identified is not None and memo.identified.holds(now):
            return
        inserted = memo.identified is None or not memo.identified.same_insertion(now)
        if inserted:
            memo.new_insertion()
            memo.identity = None
            memo.facts = {}
        known = memo.objects.get(spec.TAG_CHUID)
        head = edge.get_head(self.tx, spec.TAG_CHUID)
        if known is not None and self._is_same_card(known, head):
            known.found_true(now, Basis.HEAD)
        else:
            self._another_chuid(head, inserted=inserted)
        memo.identified = now

    def _is_same_card(self, known: Remembered, head: edge.Head | None) -> bool:
        proved = proves(known, head.data if head else None, head.length if head else 0)
        return proved and self.memo.atr == self.tx.channel.transport.atr

    def _another_chuid(self, head: edge.Head | None, *, inserted: bool) -> None:
        """Another card; or, within one insertion, this card with its CHUID rewritten: then only the names are void."""
        memo, atr = self.memo, self.tx.channel.transport.atr
        data, length = (head.data, head.length) if head else (b"", 0)
        mark = keeping.mark(atr, data, length)
        if inserted:
            keeping.thaw(memo, memo.become(keeping.KIND, mark, atr))
        memo.identity, memo.mark, memo.names = None, mark, {}
        parsed = parse_chuid(data)
        read_at = memo.clock()
        memo.objects[spec.TAG_CHUID] = Remembered(data if head else None, data, length, self.now, parsed, read_at)

    def chuid(self) -> Chuid:
        """The card's CHUID; empty when it has none or a damaged one."""
        self.prove_card()
        parsed = self.memo.objects[spec.TAG_CHUID].parsed
        return parsed if isinstance(parsed, Chuid) else Chuid()

    # --- objects -----------------------------------------------------------------------------------------------------

    def object(self, tag: int, *, whole: bool = False) -> Remembered:
        """Object ``tag``, true now; its ``content`` is ``None`` when it is absent or empty.

        Args:
            tag: of the object.
            whole: it may change behind its first 256 bytes, so what is remembered of it is proved by all of them.

        Raises:
            BadData: the answer does not end.
            NotAuthenticated: it takes a PIN to read it.
        """
        known = self.memo.objects.get(tag)
        verdict = judge(known, self.now)
        if verdict is Verdict.READ or known is None:
            return self._read(tag)
        if verdict is Verdict.TRUE:
            known.found_true(known.seen)
            return known
        if self.policy.proof == "whole" or (whole and known.length > HEAD_SIZE):
            return self._read(tag)
        return self._prove(tag, known)

    def _read(self, tag: int) -> Remembered:
        return self._remember(tag, edge.get_data(self.tx, tag))

    def _prove(self, tag: int, known: Remembered) -> Remembered:
        head = edge.get_head(self.tx, tag)
        data = None if head is None or _is_empty(head.data, tag) else head.data
        length = head.length if head and data else 0
        if proves(known, data, length):
            known.found_true(self.now, Basis.HEAD)
            return known
        if head is not None and head.length > len(head.data):
            return self._read(tag)
        return self._remember(tag, data)

    def _remember(self, tag: int, answer: bytes | None, basis: Basis = Basis.READ) -> Remembered:
        if answer is None or _is_empty(answer, tag):
            item = Remembered(None, b"", 0, self.now)
        else:
            item = Remembered(answer, answer[:HEAD_SIZE], edge.whole_length(answer), self.now)
        item.read_at, item.basis = self.memo.clock(), basis
        self.memo.objects[tag] = item
        return item

    def content(self, tag: int, *, whole: bool = False) -> bytes | None:
        """What is inside object ``tag``, ``None`` when it is absent or empty; arguments as in ``object``.

        Raises:
            BadData: it is not what GET DATA should answer.
        """
        item = self.object(tag, whole=whole)
        return None if item.content is None else objects.content_of(item.content, tag)

    def write(self, tag: int, content: bytes) -> None:
        """Replace object ``tag``; ``b""`` deletes it. What is written is remembered, and costs nothing to list."""
        self.memo.objects.pop(tag, None)
        edge.put_data(self.tx, tag, content)
        self._remember(tag, tlv.build(spec.TAG_DATA, content) if content else None, Basis.WRITTEN)

    def forget(self, tag: int) -> None:
        """Forget object ``tag``."""
        self.memo.objects.pop(tag, None)

    # --- what is in them ---------------------------------------------------------------------------------------------

    def certificate(self, slot: spec.Slot) -> SlotCertificate | None:
        """The certificate of ``slot``, ``None`` when there is no such object; parsed once."""
        try:
            item = self.object(slot.certificate)
        except BadData as problem:
            return SlotCertificate(None, None, problem)
        if item.content is None:
            return None
        if not isinstance(item.parsed, SlotCertificate):
            item.parsed = self._parse(item.content, slot)
        return item.parsed

    @staticmethod
    def _parse(answer: bytes, slot: spec.Slot) -> SlotCertificate:
        try:
            content = objects.content_of(answer, slot.certificate)
        except BadData as problem:
            return SlotCertificate(None, None, problem)
        return SlotCertificate.of(content)

    def key_history(self) -> KeyHistory:
        """The card's Key History; no retired keys when it is absent or damaged."""
        try:
            content = self.content(spec.TAG_KEY_HISTORY)
            return KeyHistory() if content is None else parse_key_history(content)
        except BadData:
            return KeyHistory()

    def slots(self) -> tuple[spec.Slot, ...]:
        """The slots to look at, in order of their container index."""
        if self.policy.retired_keys == "all":
            return spec.SLOTS
        if self.policy.retired_keys == "none":
            return FIXED_SLOTS
        return FIXED_SLOTS + self.key_history().slots

    def pin_policy(self) -> int:
        """The PIN usage policy of the Discovery object; "application PIN" without one or with a damaged one.

        It is the issuer's and stays for the life of the card (part 1, 3.3.2), so it is looked at once in an insertion:
        at the first use of a PIN. A wrong one would use up the tries of another PIN, so nothing older is believed.
        """
        policy = self.memo.facts.get(DISCOVERY)
        if policy is None:
            try:
                content = self.content(spec.TAG_DISCOVERY)
                policy = spec.POLICY_APPLICATION_PIN if content is None else parse_discovery(content)
            except BadData:
                policy = spec.POLICY_APPLICATION_PIN
            self.memo.facts[DISCOVERY] = policy
        return int(policy)


def _is_empty(answer: bytes, tag: int) -> bool:
    return answer in (b"", b"\x53\x00", tlv.build(tag))
