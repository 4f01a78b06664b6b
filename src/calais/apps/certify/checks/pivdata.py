"""The data model of PIV cards: CHUID, CCC, Discovery, Key History, certificates. Other cards are left alone."""

from __future__ import annotations

from datetime import UTC, datetime

from calais.apps.certify.rules import Absent, Chapter
from calais.apps.certify.trial import Trial, fail
from calais.apps.scinfo import examine as examination
from calais.apps.scinfo.examine import Finding, Severity
from calais.apps.scinfo.objects import parse_chuid
from calais.cards.piv import edge, objects, spec
from calais.cards.piv.chuid import parse_chuid as parse_for_names
from calais.iso7816 import tlv
from calais.minidriver.api import Minidriver
from calais.win.errors import BadData, NotAuthenticated, Unsupported, WinError

CHAPTER = Chapter("piv", "The data model of PIV cards")
GUID_VERSION_AT = 6
CHUID_MAX = 3377
CCC_MAX = 297
CERTIFICATE_MAX = 1905
TAGS_OF_CHUID = (spec.TAG_CHUID_FASC_N, spec.TAG_CHUID_GUID, spec.TAG_CHUID_EXPIRATION)
FASC_N_SIZE = 25


def content(driver: Minidriver, tag: int) -> bytes | None:
    """The content of object ``tag``, ``None`` when it is absent.

    Raises:
        Absent: the card is not a PIV card.
    """
    try:
        answer = edge.get_data(driver.tx, tag)
    except NotAuthenticated as error:
        raise Absent("it takes a PIN to read it") from error
    except (Unsupported, WinError) as error:
        raise Absent("this is not a PIV card") from error
    return objects.content_of(answer, tag) if answer else None


def _there(driver: Minidriver, tag: int, name: str) -> bytes:
    chuid = content(driver, spec.TAG_CHUID)
    found = chuid if tag == spec.TAG_CHUID else content(driver, tag)
    if found is None:
        if chuid is None and tag != spec.TAG_CHUID:
            raise Absent("this is not a PIV card with objects")
        fail(f"a {name}", "none")
    return found


def _no_fault(found: list[Finding]) -> None:
    faults = [finding for finding in found if finding.severity is Severity.FAULT]
    if faults:
        fail("no fault", "; ".join(f"{finding.where}: {finding.detail} [{finding.name}]" for finding in faults))


def _is_piv(driver: Minidriver) -> None:
    try:
        edge.get_head(driver.tx, spec.TAG_CHUID)
    except WinError as error:
        raise Absent("this is not a PIV card") from error


@CHAPTER.check(
    "chuid",
    "There is a CHUID with a FASC-N of 25 bytes, a GUID of 16 bytes that is not zero, and an expiration date.",
    "SP 800-73-4 part 1, 3.1.2 and appendix A, table 9",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        _is_piv(driver)
        found = parse_chuid(_there(driver, spec.TAG_CHUID, "CHUID"))
    trial.equal("bytes of the FASC-N", len(found.fasc_n), FASC_N_SIZE)
    trial.equal("bytes of the GUID", len(found.guid), spec.GUID_SIZE)
    trial.holds(any(found.guid), "a GUID that is not zero", found.guid)
    trial.holds(found.expires is not None, "an expiration date", "none")


@CHAPTER.check(
    "chuid_order",
    "The members of the CHUID stand in the order of the table, and its size is within the limit.",
    "SP 800-73-4 part 1, appendix A, table 9",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        _is_piv(driver)
        whole = _there(driver, spec.TAG_CHUID, "CHUID")
    tags = [item.tag for item in tlv.parse(whole)]
    order = [tag for tag in tags if tag in TAGS_OF_CHUID]
    trial.equal("FASC-N, GUID, expiration date", order, list(TAGS_OF_CHUID))
    trial.holds(len(whole) <= CHUID_MAX, f"at most {CHUID_MAX} bytes", len(whole))


@CHAPTER.check(
    "chuid_truth",
    "The CHUID is not expired, and its signature, where there is one, is right.",
    "SP 800-73-4 part 1, 3.1.2; FIPS 201-3, 4.2.1",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        _is_piv(driver)
        whole = _there(driver, spec.TAG_CHUID, "CHUID")
    _no_fault(list(examination.examine_chuid(whole, datetime.now(UTC))))


@CHAPTER.check(
    "chuid_names",
    "The driver's card identifier comes from the CHUID's GUID.",
    "Microsoft, inbox PIV driver; minidriver 7.07, cardid",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        _is_piv(driver)
        guid = parse_for_names(edge.get_data(driver.tx, spec.TAG_CHUID) or b"").usable_guid
        if not guid:
            raise Absent("the CHUID has no usable GUID")
        card_id = driver.identity().card_id
    trial.equal("bytes of the identifier", sorted(card_id), sorted(guid))


@CHAPTER.check(
    "ccc",
    "There is a Card Capability Container with identifier, versions 2.1 and data model 10.",
    "SP 800-73-4 part 1, 3.1.1 and appendix A, table 8",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        _is_piv(driver)
        whole = _there(driver, spec.TAG_CCC, "Card Capability Container")
    items = list(tlv.parse(whole))
    trial.holds(len(whole) <= CCC_MAX, f"at most {CCC_MAX} bytes", len(whole))
    for tag, due in (
        (spec.TAG_CCC_VERSION, b"\x21"),
        (spec.TAG_CCC_GRAMMAR, b"\x21"),
        (spec.TAG_CCC_DATA_MODEL, b"\x10"),
    ):
        trial.equal(f"member {tag:02X}", _value(items, tag), due)
    trial.holds(_value(items, spec.TAG_CCC_IDENTIFIER), "a card identifier (F0)", "none")


def _value(items: list[tlv.Tlv], tag: int) -> bytes:
    found = tlv.find(items, tag)
    return found.value if found else b""


@CHAPTER.check(
    "discovery",
    "The Discovery object, where there is one, holds the PIV AID and a PIN usage policy.",
    "SP 800-73-4 part 1, 3.3.2",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        _is_piv(driver)
        whole = content(driver, spec.TAG_DISCOVERY)
    if whole is None:
        raise Absent("there is no Discovery object")
    items = list(tlv.parse(whole))
    aid, policy = _value(items, spec.TAG_AID), _value(items, spec.TAG_PIN_USAGE_POLICY)
    trial.holds(aid.startswith(spec.AID[:9]), "the PIV AID", aid)
    trial.equal("bytes of the policy", len(policy), 2)
    trial.holds(policy[0] & 0x40, "an application PIN (bit 0x40 of the first byte)", policy)


@CHAPTER.check(
    "key_history",
    "The Key History, where there is one, names each retired key that has a certificate, and no more than 20.",
    "SP 800-73-4 part 1, 3.3.3",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        _is_piv(driver)
        whole = content(driver, spec.TAG_KEY_HISTORY)
        held = [slot for slot in spec.SLOTS if slot.retired and content(driver, slot.certificate)]
    if whole is None and not held:
        raise Absent("there are no retired keys")
    history = objects.parse_key_history(whole or b"")
    trial.holds(history.on_card + history.off_card <= spec.RETIRED_COUNT, "at most 20 retired keys", history)
    last = max((slot.ref - spec.REF_RETIRED_FIRST + 1 for slot in held), default=0)
    trial.holds(history.on_card >= last, f"{last} keys on the card", history.on_card)
    trial.holds(not history.off_card or history.url, "a URL for keys that are not on the card", "none")


@CHAPTER.check(
    "certificates",
    "Each certificate object holds a certificate (70), CertInfo (71) and error detection code (FE), within the size.",
    "SP 800-73-4 part 1, appendix A, table 10",
)
def _(trial: Trial) -> None:
    checked = 0
    with trial.driver() as driver:
        _is_piv(driver)
        for slot in spec.SLOTS[:4]:
            whole = content(driver, slot.certificate)
            if whole is None:
                continue
            checked += 1
            items = list(tlv.parse(whole))
            tags = [item.tag for item in items]
            trial.holds(spec.TAG_CERTIFICATE in tags and spec.TAG_CERT_INFO in tags, f"70 and 71 in {slot.name}", tags)
            _no_fault_in_certificate(slot.name, whole)
    if not checked:
        raise Absent("there is no certificate")


def _no_fault_in_certificate(name: str, whole: bytes) -> None:
    try:
        objects.parse_certificate(whole)
    except BadData as error:
        fail(f"a certificate in {name}", error)


@CHAPTER.check(
    "certificates_truth",
    "Certificates are valid today, unaltered, and those of 9A and 9E name this card.",
    "FIPS 201-3, 4.2.1 and appendix B",
)
def _(trial: Trial) -> None:
    now = datetime.now(UTC)
    found: list[Finding] = []
    with trial.driver() as driver:
        _is_piv(driver)
        whole = content(driver, spec.TAG_CHUID)
        chuid = parse_chuid(whole) if whole else None
        for entry in driver.containers():
            der = driver.certificate(entry.index) if entry.has_certificate else None
            where = entry.reference or str(entry.index)
            facts = examination.ContainerFacts(where, der, binds_card=where in ("9A", "9E"))
            found += examination.examine_container(facts, chuid, (), now)
    _no_fault(found)


@CHAPTER.check(
    "security_object",
    "The Security Object, where there is one, vouches for the objects as they are.",
    "SP 800-73-4 part 1, 3.1.7",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        _is_piv(driver)
        if content(driver, spec.TAG_SECURITY_OBJECT) is None:
            raise Absent("there is no Security Object")
        tags = (spec.TAG_CHUID, spec.TAG_SECURITY_OBJECT, spec.TAG_CCC)
        contents = {tag: content(driver, tag) for tag in tags}
    _no_fault(list(examination.examine_security_object(contents)))
