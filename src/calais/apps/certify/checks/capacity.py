"""Capabilities, free space and key sizes."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from calais.apps.certify.rules import Absent, Chapter
from calais.apps.certify.trial import INVALID, Trial
from calais.win.codes import Code
from calais.win.errors import Unsupported
from calais.win.structs import CardCapabilities, CardFreeSpaceInfo, CardKeySizes

CHAPTER = Chapter("capacity", "Capabilities, free space and key sizes")
UNKNOWN = 0xFFFFFFFF
CURVE_BITS = {3: 256, 4: 384, 5: 521, 6: 256, 7: 384, 8: 521}
RSA_SPECS = (1, 2)


@CHAPTER.check(
    "capabilities", "The capabilities are two truth values, the same each time.", "minidriver 7.07, CARD_CAPABILITIES"
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        found = driver.capabilities()
        trial.holds(isinstance(found, CardCapabilities), "CardCapabilities", type(found).__name__)
        for value in (found.certificate_compression, found.key_gen):
            trial.holds(isinstance(value, bool), "truth values", found)
        trial.equal("Capabilities", driver.get_property("Capabilities"), found)
        trial.holds(not (driver.read_only and found.key_gen), "a read-only card generates no keys", found)


@CHAPTER.check(
    "free_space_form",
    "Free space is three numbers, each in 32 bits; unknown is 0xFFFFFFFF.",
    "minidriver 7.07, CARD_FREE_SPACE_INFO",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        found = driver.free_space()
        trial.holds(isinstance(found, CardFreeSpaceInfo), "CardFreeSpaceInfo", type(found).__name__)
        numbers = (found.bytes_available, found.key_containers_available, found.max_key_containers)
        trial.holds(all(0 <= number <= UNKNOWN for number in numbers), "numbers of 32 bits", numbers)
        trial.equal("Free Space", driver.get_property("Free Space"), found)


@CHAPTER.check(
    "free_space_truth",
    "No more containers are free than the card can have less those it has.",
    "minidriver 7.07, CardQueryFreeSpace",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        found, used = driver.free_space(), len(driver.containers())
    if UNKNOWN in (found.key_containers_available, found.max_key_containers):
        raise Absent("the card does not say how many containers it can have")
    trial.holds(used <= found.max_key_containers, f"at most {found.max_key_containers} containers", used)
    most = found.max_key_containers - used
    trial.holds(found.key_containers_available <= most, f"at most {most} free containers", found)


@CHAPTER.check(
    "key_sizes_order",
    "Key sizes: minimum <= default <= maximum, with a step that leads there.",
    "minidriver 7.07, CARD_KEY_SIZES",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for spec, sizes in _sizes(driver).items():
            low, usual, high, step = (
                sizes.minimum_bit_len,
                sizes.default_bit_len,
                sizes.maximum_bit_len,
                sizes.incremental_bit_len,
            )
            trial.holds(0 < low <= usual <= high, f"minimum <= default <= maximum for key spec {spec}", sizes)
            fits = step > 0 and not (usual - low) % step and not (high - low) % step
            trial.holds(low == high or fits, f"default and maximum in steps for key spec {spec}", sizes)


def _sizes(driver: object) -> dict[int, CardKeySizes]:
    found = {}
    for spec in range(1, 9):
        try:
            found[spec] = driver.key_sizes(spec)  # type: ignore[attr-defined]
        except Unsupported:
            continue
    return found


@CHAPTER.check(
    "key_sizes_curves",
    "For a curve minimum, default and maximum are its bits, and the step is 1.",
    "minidriver 7.07, CardQueryKeySizes",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        curves = {spec: sizes for spec, sizes in _sizes(driver).items() if spec in CURVE_BITS}
    if not curves:
        raise Absent("the card has no EC keys")
    for spec, sizes in curves.items():
        bits = CURVE_BITS[spec]
        trial.equal(f"sizes of key spec {spec}", sizes, CardKeySizes(bits, bits, bits, 1))


@CHAPTER.check(
    "key_sizes_cover",
    "The keys on the card are of sizes that the card says it can have.",
    "minidriver 7.07, CardQueryKeySizes",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        sizes = _sizes(driver)
        for entry in driver.containers():
            key = driver.public_key(entry.index)
            specs = RSA_SPECS if isinstance(key, rsa.RSAPublicKey) else tuple(CURVE_BITS)
            if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
                ranges = [sizes[s] for s in specs if s in sizes]
                within = any(one.minimum_bit_len <= key.key_size <= one.maximum_bit_len for one in ranges)
                trial.holds(within, f"{key.key_size} bits of container {entry.index} in {ranges}", key.key_size)


@CHAPTER.check(
    "key_sizes_refused",
    "A key spec outside 1 to 8: SCARD_E_INVALID_PARAMETER; one the card lacks: SCARD_E_UNSUPPORTED_FEATURE.",
    "minidriver 7.07, CardQueryKeySizes",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for spec in (-1, 0, 9, 0x20000):
            trial.refused_unsent(f"key spec {spec}", INVALID, driver.key_sizes, spec)
        for spec in set(range(1, 9)) - set(_sizes(driver)):
            trial.refused(f"key spec {spec}", Code.SCARD_E_UNSUPPORTED_FEATURE, driver.key_sizes, spec)
