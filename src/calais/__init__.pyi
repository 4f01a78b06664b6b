from calais.provider.card import Card as Card
from calais.provider.container import Container as Container
from calais.provider.container import Key as Key
from calais.store.objects import CertificateStore as CertificateStore
from calais.system import System as System
from calais.system import current as current
from calais.system import open_card as open_card
from calais.win.errors import AccessDenied as AccessDenied
from calais.win.errors import BadData as BadData
from calais.win.errors import BadParameter as BadParameter
from calais.win.errors import Cancelled as Cancelled
from calais.win.errors import CardRemoved as CardRemoved
from calais.win.errors import CardReset as CardReset
from calais.win.errors import NoCard as NoCard
from calais.win.errors import NotAuthenticated as NotAuthenticated
from calais.win.errors import NotFound as NotFound
from calais.win.errors import PinBlocked as PinBlocked
from calais.win.errors import SilentContext as SilentContext
from calais.win.errors import Unsupported as Unsupported
from calais.win.errors import WinError as WinError
from calais.win.errors import WrongPin as WrongPin

__version__: str
