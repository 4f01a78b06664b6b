"""More drivers that are broken on purpose: files, counters, caches, containers and properties (see ``broken_drivers``)."""

from __future__ import annotations

from dataclasses import replace

from broken_drivers import caught_by

from calais.apps.certify.face import Face
from calais.cards.piv.driver import PivMinidriver
from calais.minidriver.calls import card as card_calls
from calais.minidriver.calls import pins as pin_calls
from calais.win.codes import Code
from calais.win.errors import NotFound

# --- files -----------------------------------------------------------------------------------------------------------


@caught_by("files.cmapfile_records")
class RecordsOf88(PivMinidriver):
    """Aligns the records of the container map."""

    def read_file(self, directory, name):
        content = super().read_file(directory, name)
        if name.lower() != "cmapfile":
            return content
        return b"".join(content[at : at + 86] + b"\0\0" for at in range(0, len(content), 86))


@caught_by("files.directories_not_listed")
class ListsDirectories(PivMinidriver):
    """Lists mscp among the files of the root."""

    def enum_files(self, directory):
        found = super().enum_files(directory)
        return found if directory else [*found, "mscp"]

    def read_file(self, directory, name):
        return b"" if not directory and name == "mscp" else super().read_file(directory, name)


@caught_by("files.case_ignored")
class MindsTheCase(PivMinidriver):
    """Compares file names as they are written."""

    def read_file(self, directory, name):
        if name.lower() != name and not name.startswith(("kxc", "ksc")):
            raise NotFound(Code.SCARD_E_FILE_NOT_FOUND)
        return super().read_file(directory, name)


@caught_by("files.cardid_is_identity")
class TwoIdentifiers(PivMinidriver):
    """cardid in the other byte order than the property."""

    def read_file(self, directory, name):
        content = super().read_file(directory, name)
        return content[::-1] if name.lower() == "cardid" else content


@caught_by("files.unknown_directory")
class FileNotFoundForAll(PivMinidriver):
    """Has one code for files and directories that are not there."""

    def enum_files(self, directory):
        try:
            return super().enum_files(directory)
        except NotFound as error:
            raise NotFound(Code.SCARD_E_FILE_NOT_FOUND) from error


class CarelessFace(Face):
    """CardReadFile takes any flags."""

    ENTRIES = Face.ENTRIES | {
        "CardReadFile": lambda data, where, name, flags: card_calls.read_file(data, where, name, 0)
    }


@caught_by("arguments.CardReadFile", CarelessFace)
class AcceptsFlags(PivMinidriver):
    pass


class EmptyPinFace(Face):
    """CardAuthenticatePin takes an empty PIN and does nothing."""

    ENTRIES = Face.ENTRIES | {
        "CardAuthenticatePin": lambda data, user, pin: pin_calls.authenticate_pin(data, user, pin) if pin else None
    }


@caught_by("arguments.CardAuthenticatePin", EmptyPinFace)
class AcceptsEmptyPin(PivMinidriver):
    pass


class RaisingFace(Face):
    """Agrees on version 7 whatever is wanted."""

    def acquire(self, data, flags):
        if data.version == 6:
            data.version = 7
        super().acquire(data, flags)


@caught_by("entry.version_lowered", RaisingFace)
class RaisesTheVersion(PivMinidriver):
    pass


# --- caches and counters ---------------------------------------------------------------------------------------------


@caught_by("write.cardcf_moves")
class CounterStandsStill(PivMinidriver):
    """cardcf is always the same."""

    def read_file(self, directory, name):
        return bytes(6) if not directory and name.lower() == "cardcf" else super().read_file(directory, name)


@caught_by("write.info_after_generate")
class StaleContainerInfo(PivMinidriver):
    """Keeps container info for ever."""

    def container_info(self, index):
        known = self.memo.facts.setdefault("broken.info", {})
        return (
            known.setdefault(index, super().container_info(index)) if 0 <= index < 24 else super().container_info(index)
        )


@caught_by("write.certificate_replaced")
class StaleCertificate(PivMinidriver):
    """Keeps certificates for ever."""

    def certificate(self, index):
        found = super().certificate(index)
        known = self.memo.facts.setdefault("broken.certificates", {})
        return known.setdefault(index, found) if found else found


@caught_by("write.seen_by_others")
class NeverLooksAgain(PivMinidriver):
    """Believes what it once read, whatever others did to the card."""

    def certificate(self, index):
        for item in self.memo.objects.values():
            item.seen = self.view.now
        return super().certificate(index)


@caught_by("capacity.free_space_truth")
class FreeSpaceLies(PivMinidriver):
    """All containers are free, always."""

    def free_space(self):
        found = super().free_space()
        return replace(found, key_containers_available=found.max_key_containers)


# --- containers and properties ---------------------------------------------------------------------------------------


@caught_by("containers.info_magic")
class WrongMagic(PivMinidriver):
    """Gives EC signature keys the magic of key agreement."""

    def container_info(self, index):
        info = super().container_info(index)
        if info.sig_public_key[:3] == b"ECS":
            return replace(info, sig_public_key=b"ECK" + info.sig_public_key[3:])
        return info


@caught_by("containers.info_slot")
class WrongSlot(PivMinidriver):
    """Tells every key as a key for exchange."""

    def container_info(self, index):
        info = super().container_info(index)
        return replace(info, sig_public_key=b"", key_ex_public_key=info.sig_public_key or info.key_ex_public_key)


@caught_by("containers.one_default")
class TwoDefaults(PivMinidriver):
    """Every container is the default one."""

    def containers(self, *, probe_keys=False):
        return [replace(entry, is_default=True) for entry in super().containers(probe_keys=probe_keys)]


@caught_by("properties.read_only_not_set")
class EverythingSettable(PivMinidriver):
    """Takes any value for Read Only Mode."""

    def set_property(self, name, value, flags=0):
        if name != "Read Only Mode":
            super().set_property(name, value, flags)


@caught_by("properties.flags_refused")
class PropertyFlagsIgnored(PivMinidriver):
    """Reads Free Space with any flags."""

    def get_property(self, name, flags=0):
        return super().get_property(name, 0 if name == "Free Space" else flags)


@caught_by("capacity.key_sizes_curves")
class CurvesHaveSteps(PivMinidriver):
    """Says that P-256 keys grow in steps of 64 bits."""

    def key_sizes(self, key_spec):
        return replace(super().key_sizes(key_spec), incremental_bit_len=64)
