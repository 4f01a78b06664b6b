"""One database for several machines: what one links, the other finds linked."""

from people import PIN, acquire_first, card, sign_with
from postgres import NEEDED

from calais.system import System
from calais.testing import FixedPrompt

pytestmark = NEEDED


def test_a_certificate_linked_on_one_machine_is_found_linked_on_another(postgres, tmp_path, monkeypatch):
    monkeypatch.setenv("CALAIS_STORE", postgres.fresh())
    monkeypatch.setenv("CALAIS_ACCOUNT", "alice")
    mine = card(0x9A)
    monkeypatch.setenv("CALAIS_HOME", str(tmp_path / "first"))
    with System.local() as first:
        first.insert(mine)
        first.propagate()
        with first.store() as store:
            link = next(iter(store)).key_prov_info
        first.remove()
    monkeypatch.setenv("CALAIS_HOME", str(tmp_path / "second"))
    with System.local(prompt=FixedPrompt(PIN)) as second:
        second.insert(mine)
        with second.store() as store:
            [found] = store
            assert (found.key_prov_info, bool(link.container_name)) == (link, True)
        assert sign_with(acquire_first(second).handle)
