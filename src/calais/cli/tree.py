"""The whole command line on one page: every group, every command, where its code is, and one line of help.

Help, completion and the documentation read this table, so that none of them loads a command's module.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verb:
    """One command: ``target`` is ``module:attribute`` inside ``calais.cli``; ``help`` one line."""

    target: str
    help: str


@dataclass(frozen=True)
class Group:
    """Commands under one name."""

    help: str
    verbs: dict[str, Verb]


Entry = Verb | Group

TREE: dict[str, Entry] = {
    "demo": Verb("demo:demo", "The whole story on a virtual card; needs nothing, leaves nothing behind."),
    "readers": Verb("readers:readers", "Readers, and the cards in them."),
    "scinfo": Verb("scinfo:scinfo", "Read a card, try its keys, and name what is wrong with it."),
    "propagate": Verb("propagate:propagate", "Bring the certificates of the inserted cards into the store."),
    "cert": Group(
        "Certificates in the store, and their links to keys.",
        {
            "list": Verb("cert:list_", "The certificates in the store."),
            "show": Verb("cert:show", "Everything about one certificate."),
            "export": Verb("cert:export", "Write one certificate to a file."),
            "logon": Verb("logon:logon", "The certificates on the inserted cards that a logon would offer."),
            "explain": Verb("explain:explain", "Follow a certificate's link to its key, and say where it breaks."),
            "repair": Verb("relink:repair", "Find a certificate's key on the inserted cards, and write its link anew."),
        },
    ),
    "key": Group("Keys on cards.", {"list": Verb("key:list_", "The key containers of the inserted cards.")}),
    "sign": Verb("sign:sign", "Sign a file with a key on a card."),
    "verify": Verb("verify:verify", "Verify a signature with a certificate."),
    "decrypt": Verb("decrypt:decrypt", "Decrypt a file with a key on a card."),
    "pin": Group(
        "The PIN of a card.",
        {
            "status": Verb("pin:status", "How many tries are left."),
            "verify": Verb("pin:verify", "Try the PIN."),
            "change": Verb("pin:change", "Replace the PIN by a new one."),
            "unblock": Verb("pin:unblock", "Set a new PIN: with the PUK, a key, or the help desk."),
        },
    ),
    "unblock": Group(
        "The help desk: unblock a card that is far away.",
        {
            "respond": Verb("unblock:respond", "Answer the challenge of a card far away."),
            "new": Verb("escrow:new", "Make an escrow for PUKs."),
            "escrow": Verb("escrow:escrow", "Store the PUK of a card in an escrow."),
            "derive": Verb("unblock:derive", "Make a card's administrator key from a master key."),
        },
    ),
    "card": Group(
        "Keys and certificates on a card: make, load, delete.",
        {
            "init": Verb("initcard:init", "Make a blank card ready for use: PIN, administrator's key, files."),
            "generate": Verb("generate:generate", "Make a key on the card, and a request or certificate for it."),
            "import": Verb("card:import_", "Load a private key, and its certificate, onto the card."),
            "put-cert": Verb("card:put_cert", "Write a certificate next to its key."),
            "delete": Verb("card:delete", "Delete a certificate, a key, or both."),
            "repair": Verb("repair:repair", "Put a card in order that was pulled out in the middle of a change."),
            "files": Verb("cardfiles:files", "The logical files of a card, or the contents of one."),
        },
    ),
    "cache": Group(
        "What is remembered of cards.",
        {
            "show": Verb("cache:show", "What is remembered of cards, and why it is believed."),
            "clear": Verb("cache:clear", "Forget what is remembered of all cards, or of one."),
        },
    ),
    "virtual": Group(
        "Virtual cards, and the virtual readers they are in.",
        {
            "new": Verb("newcard:new", "Make a virtual PIV or GIDS card."),
            "list": Verb("virtual:list_", "The virtual cards, and where they are inserted."),
            "insert": Verb("virtual:insert", "Insert a virtual card into a virtual reader."),
            "remove": Verb("virtual:remove", "Take a virtual card out of its reader."),
            "serve": Verb("serve:serve", "Put a virtual card behind the real pcscd, through vpcd."),
        },
    ),
    "policy": Group(
        "The policy: what is allowed, and who said so.",
        {"show": Verb("policy:show", "The values in force, and where each comes from.")},
    ),
    "carddb": Group(
        "The card database: which card an ATR stands for, and its driver.",
        {
            "list": Verb("carddb:list_", "The cards that the database knows."),
            "add": Verb("carddb:add", "Add a card: its ATR, its driver, its providers."),
            "forget": Verb("carddb:forget", "Remove a card from the database."),
            "explain": Verb("carddb:explain", "Say how a card gets its driver, step by step."),
        },
    ),
    "certify": Verb("certify:certify", "Try every rule of the minidriver specification on a card or a driver."),
    "completion": Verb("completion:completion", "Print the completion script of a shell."),
}
