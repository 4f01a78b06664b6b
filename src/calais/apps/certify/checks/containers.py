"""Key containers: the list, each entry, public keys as key blobs, certificates, container properties."""

from __future__ import annotations

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from calais.apps.certificates import load_public_key
from calais.apps.certify.rules import Absent, Chapter
from calais.apps.certify.trial import INVALID, Trial
from calais.minidriver.api import ContainerEntry, Minidriver
from calais.minidriver.containers import AT_SIGNATURE, CALG_RSA_KEYX, CALG_RSA_SIGN
from calais.win import blobs
from calais.win.codes import Code
from calais.win.errors import Unsupported

CHAPTER = Chapter("containers", "Key containers")
BAD_INDICES = (-1, 256, 1000)
RSA_PUBLIC_MAGIC = b"RSA1"
ECC_MAGICS = {
    ("secp256r1", True): b"ECS1",
    ("secp384r1", True): b"ECS3",
    ("secp521r1", True): b"ECS5",
    ("secp256r1", False): b"ECK1",
    ("secp384r1", False): b"ECK3",
    ("secp521r1", False): b"ECK5",
}


def _windows_keys(driver: Minidriver) -> list[tuple[ContainerEntry, PublicKeyTypes]]:
    """Containers whose key Windows has a blob for."""
    found: list[tuple[ContainerEntry, PublicKeyTypes]] = []
    for entry in driver.containers():
        key = driver.public_key(entry.index)
        if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
            found.append((entry, key))
    if not found:
        raise Absent("the card has no key")
    return found


@CHAPTER.check(
    "in_order", "Containers are listed in the order of their indices, each index once.", "minidriver 7.07, 4.4"
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        indices = [entry.index for entry in driver.containers()]
    trial.equal("indices", indices, sorted(set(indices)))
    trial.holds(all(0 <= index <= 255 for index in indices), "indices from 0 to 255", indices)


@CHAPTER.check(
    "one_default", "At most one container is the default; with containers there is one.", "minidriver 7.07, 4.4"
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        entries = driver.containers()
    trial.equal("default containers", sum(entry.is_default for entry in entries), min(1, len(entries)))


@CHAPTER.check("by_index", "A container asked for by its index is the one in the list.", "minidriver 7.07, 4.4")
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        stable = driver.identity().has_stable_names
        for listed in driver.containers():
            single = driver.container(listed.index)
            trial.equal(f"container {listed.index}", single if stable else replace(single, name=listed.name), listed)


@CHAPTER.check(
    "by_name", "A container is found by its name, whatever the case; an unknown name is not.", "minidriver 7.07, 4.4"
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for entry in driver.containers():
            for name in (entry.name, entry.name.upper(), entry.name.lower()):
                trial.equal(f"index of {name}", driver.index_of(name), entry.index)
        trial.refused("an unknown name", Code.SCARD_E_NO_KEY_CONTAINER, driver.index_of, "no such key")


@CHAPTER.check(
    "names_steady",
    "A card that claims stable names gives the same names at every enumeration and on every connection.",
    "minidriver 7.07, container map file",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        if not driver.identity().has_stable_names:
            raise Absent("the card does not claim stable names")
        first = [(entry.index, entry.name) for entry in driver.containers()]
        trial.equal("names", [(entry.index, entry.name) for entry in driver.containers()], first)
    with trial.driver() as driver:
        trial.equal("names", [(entry.index, entry.name) for entry in driver.containers()], first)


@CHAPTER.check(
    "pin_exists", "The PIN of a container is 0 or one of the card's PINs.", "minidriver 7.07, CCP_PIN_IDENTIFIER"
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        pins = driver.pin_list()
        for entry in driver.containers():
            what = f"PIN of container {entry.index}"
            trial.equal(what, driver.get_container_property(entry.index, "PIN Identifier"), entry.pin_id)
            trial.holds(not entry.pin_id or pins >> entry.pin_id & 1, f"{what} in PIN set 0x{pins:02X}", entry.pin_id)


@CHAPTER.check(
    "certificate_of_key",
    "The certificate of a container carries the container's public key.",
    "minidriver 7.07, certificate files",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        checked = 0
        for entry in driver.containers():
            der = driver.certificate(entry.index) if entry.has_certificate else None
            if der is not None:
                same = load_public_key(der) == driver.public_key(entry.index)
                trial.holds(same, f"one public key in container {entry.index}", "certificate and key differ")
                checked += 1
    if not checked:
        raise Absent("the card has no certificate")


@CHAPTER.check(
    "info_slot",
    "The public key stands in the signature member for signature keys, else in the exchange member; the other is empty.",
    "minidriver 7.07, CardGetContainerInfo",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for entry, _ in _windows_keys(driver):
            info = driver.container_info(entry.index)
            both = (bool(info.sig_public_key), bool(info.key_ex_public_key))
            due = (True, False) if entry.key_spec == AT_SIGNATURE else (False, True)
            trial.equal(f"(signature, exchange) of container {entry.index}", both, due)


def _blob(driver: Minidriver, entry: ContainerEntry) -> bytes:
    info = driver.container_info(entry.index)
    return info.sig_public_key if entry.key_spec == AT_SIGNATURE else info.key_ex_public_key


@CHAPTER.check(
    "info_magic",
    "RSA keys are PUBLICKEYBLOBs with the key kind's ALG_ID, EC keys BCRYPT_ECCKEY_BLOBs with the key kind's magic.",
    "minidriver 7.07, CardGetContainerInfo; cardmod.h",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for entry, key in _windows_keys(driver):
            blob, is_signature = _blob(driver, entry), entry.key_spec == AT_SIGNATURE
            what = f"of the blob of container {entry.index}"
            if isinstance(key, rsa.RSAPublicKey):
                algorithm = CALG_RSA_SIGN if is_signature else CALG_RSA_KEYX
                trial.equal(f"ALG_ID {what}", int.from_bytes(blob[4:8], "little"), algorithm)
                trial.equal(f"magic {what}", blob[8:12], RSA_PUBLIC_MAGIC)
            elif isinstance(key, ec.EllipticCurvePublicKey):
                trial.equal(f"magic {what}", blob[:4], ECC_MAGICS[key.curve.name, is_signature])


@CHAPTER.check("info_key", "The key blob holds the container's public key.", "minidriver 7.07, CardGetContainerInfo")
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for entry, key in _windows_keys(driver):
            is_signature = entry.key_spec == AT_SIGNATURE
            if isinstance(key, rsa.RSAPublicKey):
                due = blobs.build_capi_public(key, CALG_RSA_SIGN if is_signature else CALG_RSA_KEYX)[20:]
                came = _blob(driver, entry)[20:]
            elif isinstance(key, ec.EllipticCurvePublicKey):
                due = blobs.build_ecc_public(key, "ECDSA" if is_signature else "ECDH")[8:]
                came = _blob(driver, entry)[8:]
            trial.equal(f"key in the blob of container {entry.index}", came, due)


@CHAPTER.check(
    "info_property", "The property Container Info is what CardGetContainerInfo says.", "minidriver 7.07, CCP"
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for entry, _ in _windows_keys(driver):
            came = driver.get_container_property(entry.index, "Container Info")
            trial.equal(f"Container Info of container {entry.index}", came, driver.container_info(entry.index))


@CHAPTER.check(
    "bad_index", "An index outside 0 to 255: SCARD_E_INVALID_PARAMETER.", "minidriver 7.07, CardGetContainerInfo"
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for index in BAD_INDICES:
            for call in (driver.container_info, driver.public_key, driver.certificate, driver.container):
                trial.refused_unsent(f"index {index}", INVALID, call, index)


@CHAPTER.check(
    "empty_index",
    "An index without a container: SCARD_E_NO_KEY_CONTAINER.",
    "minidriver 7.07, CardGetContainerInfo",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        used = {entry.index for entry in driver.containers(probe_keys=True)}
        index = next(index for index in range(255, -1, -1) if index not in used)
        for call in (driver.container_info, driver.public_key, driver.container):
            trial.refused(f"container {index}", Code.SCARD_E_NO_KEY_CONTAINER, call, index)
        for name in ("Container Info", "PIN Identifier"):
            trial.refused(
                f"{name} of container {index}",
                Code.SCARD_E_NO_KEY_CONTAINER,
                driver.get_container_property,
                index,
                name,
            )


@CHAPTER.check(
    "unknown_property",
    "A container property that nobody knows: SCARD_E_INVALID_PARAMETER to read, SCARD_E_UNSUPPORTED_FEATURE to set.",
    "minidriver 7.07, CardGetContainerProperty",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        entry = trial.a_container(driver, "container")
        for name in ("no such property", "container info", ""):
            trial.refused(
                f"reading {name!r}", Code.SCARD_E_INVALID_PARAMETER, driver.get_container_property, entry.index, name
            )
        trial.refused("setting", Unsupported.default_code, driver.set_container_property, entry.index, "no such", 1)


@CHAPTER.check(
    "info_not_settable",
    "Container Info cannot be set; PIN Identifier takes no impossible PIN.",
    "minidriver 7.07, CardSetContainerProperty",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        entry = trial.a_container(driver, "container")
        info = driver.container_info(entry.index)
        trial.refused(
            "Container Info",
            Unsupported.default_code,
            driver.set_container_property,
            entry.index,
            "Container Info",
            info,
        )
        for value in (-1, 8, "1", None):
            trial.refused(
                f"PIN Identifier {value!r}",
                (Code.SCARD_E_INVALID_PARAMETER, Unsupported.default_code),
                driver.set_container_property,
                entry.index,
                "PIN Identifier",
                value,
            )
