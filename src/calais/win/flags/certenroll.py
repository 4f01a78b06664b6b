"""Enumerations of the enrolment interfaces, with the members of the type library. Source: certenroll.h."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final


class X509CertificateEnrollmentContext(IntEnum):
    """For whom a request is made."""

    ContextUser = 1
    ContextMachine = 2
    ContextAdministratorForceMachine = 3


ContextUser: Final = X509CertificateEnrollmentContext.ContextUser
ContextMachine: Final = X509CertificateEnrollmentContext.ContextMachine
ContextAdministratorForceMachine: Final = X509CertificateEnrollmentContext.ContextAdministratorForceMachine


class EncodingType(IntFlag):
    """Text forms; the numbers of CRYPT_STRING_*."""

    XCN_CRYPT_STRING_BASE64HEADER = 0
    XCN_CRYPT_STRING_BASE64 = 1
    XCN_CRYPT_STRING_BINARY = 2
    XCN_CRYPT_STRING_BASE64REQUESTHEADER = 3
    XCN_CRYPT_STRING_HEX = 4
    XCN_CRYPT_STRING_HEXASCII = 5
    XCN_CRYPT_STRING_BASE64_ANY = 6
    XCN_CRYPT_STRING_ANY = 7
    XCN_CRYPT_STRING_HEX_ANY = 8
    XCN_CRYPT_STRING_BASE64X509CRLHEADER = 9
    XCN_CRYPT_STRING_HEXADDR = 0xA
    XCN_CRYPT_STRING_HEXASCIIADDR = 0xB
    XCN_CRYPT_STRING_HEXRAW = 0xC
    XCN_CRYPT_STRING_BASE64URI = 0xD
    XCN_CRYPT_STRING_ENCODEMASK = 0xFF
    XCN_CRYPT_STRING_CHAIN = 0x100
    XCN_CRYPT_STRING_TEXT = 0x200
    XCN_CRYPT_STRING_PERCENTESCAPE = 0x8000000
    XCN_CRYPT_STRING_HASHDATA = 0x10000000
    XCN_CRYPT_STRING_STRICT = 0x20000000
    XCN_CRYPT_STRING_NOCRLF = 0x40000000
    XCN_CRYPT_STRING_NOCR = 0x80000000


XCN_CRYPT_STRING_BASE64HEADER: Final = EncodingType.XCN_CRYPT_STRING_BASE64HEADER
XCN_CRYPT_STRING_BASE64: Final = EncodingType.XCN_CRYPT_STRING_BASE64
XCN_CRYPT_STRING_BINARY: Final = EncodingType.XCN_CRYPT_STRING_BINARY
XCN_CRYPT_STRING_BASE64REQUESTHEADER: Final = EncodingType.XCN_CRYPT_STRING_BASE64REQUESTHEADER
XCN_CRYPT_STRING_HEX: Final = EncodingType.XCN_CRYPT_STRING_HEX
XCN_CRYPT_STRING_HEXASCII: Final = EncodingType.XCN_CRYPT_STRING_HEXASCII
XCN_CRYPT_STRING_BASE64_ANY: Final = EncodingType.XCN_CRYPT_STRING_BASE64_ANY
XCN_CRYPT_STRING_ANY: Final = EncodingType.XCN_CRYPT_STRING_ANY
XCN_CRYPT_STRING_HEX_ANY: Final = EncodingType.XCN_CRYPT_STRING_HEX_ANY
XCN_CRYPT_STRING_BASE64X509CRLHEADER: Final = EncodingType.XCN_CRYPT_STRING_BASE64X509CRLHEADER
XCN_CRYPT_STRING_HEXADDR: Final = EncodingType.XCN_CRYPT_STRING_HEXADDR
XCN_CRYPT_STRING_HEXASCIIADDR: Final = EncodingType.XCN_CRYPT_STRING_HEXASCIIADDR
XCN_CRYPT_STRING_HEXRAW: Final = EncodingType.XCN_CRYPT_STRING_HEXRAW
XCN_CRYPT_STRING_BASE64URI: Final = EncodingType.XCN_CRYPT_STRING_BASE64URI
XCN_CRYPT_STRING_ENCODEMASK: Final = EncodingType.XCN_CRYPT_STRING_ENCODEMASK
XCN_CRYPT_STRING_CHAIN: Final = EncodingType.XCN_CRYPT_STRING_CHAIN
XCN_CRYPT_STRING_TEXT: Final = EncodingType.XCN_CRYPT_STRING_TEXT
XCN_CRYPT_STRING_PERCENTESCAPE: Final = EncodingType.XCN_CRYPT_STRING_PERCENTESCAPE
XCN_CRYPT_STRING_HASHDATA: Final = EncodingType.XCN_CRYPT_STRING_HASHDATA
XCN_CRYPT_STRING_STRICT: Final = EncodingType.XCN_CRYPT_STRING_STRICT
XCN_CRYPT_STRING_NOCRLF: Final = EncodingType.XCN_CRYPT_STRING_NOCRLF
XCN_CRYPT_STRING_NOCR: Final = EncodingType.XCN_CRYPT_STRING_NOCR


class InstallResponseRestrictionFlags(IntFlag):
    """What InstallResponse may accept."""

    AllowNone = 0x0
    AllowNoOutstandingRequest = 0x1
    AllowUntrustedCertificate = 0x2
    AllowUntrustedRoot = 0x4


AllowNone: Final = InstallResponseRestrictionFlags.AllowNone
AllowNoOutstandingRequest: Final = InstallResponseRestrictionFlags.AllowNoOutstandingRequest
AllowUntrustedCertificate: Final = InstallResponseRestrictionFlags.AllowUntrustedCertificate
AllowUntrustedRoot: Final = InstallResponseRestrictionFlags.AllowUntrustedRoot


class X509PrivateKeyExportFlags(IntFlag):
    """How a key may leave."""

    XCN_NCRYPT_ALLOW_EXPORT_NONE = 0x0
    XCN_NCRYPT_ALLOW_EXPORT_FLAG = 0x1
    XCN_NCRYPT_ALLOW_PLAINTEXT_EXPORT_FLAG = 0x2
    XCN_NCRYPT_ALLOW_ARCHIVING_FLAG = 0x4
    XCN_NCRYPT_ALLOW_PLAINTEXT_ARCHIVING_FLAG = 0x8


XCN_NCRYPT_ALLOW_EXPORT_NONE: Final = X509PrivateKeyExportFlags.XCN_NCRYPT_ALLOW_EXPORT_NONE
XCN_NCRYPT_ALLOW_EXPORT_FLAG: Final = X509PrivateKeyExportFlags.XCN_NCRYPT_ALLOW_EXPORT_FLAG
XCN_NCRYPT_ALLOW_PLAINTEXT_EXPORT_FLAG: Final = X509PrivateKeyExportFlags.XCN_NCRYPT_ALLOW_PLAINTEXT_EXPORT_FLAG
XCN_NCRYPT_ALLOW_ARCHIVING_FLAG: Final = X509PrivateKeyExportFlags.XCN_NCRYPT_ALLOW_ARCHIVING_FLAG
XCN_NCRYPT_ALLOW_PLAINTEXT_ARCHIVING_FLAG: Final = X509PrivateKeyExportFlags.XCN_NCRYPT_ALLOW_PLAINTEXT_ARCHIVING_FLAG


class X509PrivateKeyUsageFlags(IntFlag):
    """What a key may do."""

    XCN_NCRYPT_ALLOW_USAGES_NONE = 0x0
    XCN_NCRYPT_ALLOW_DECRYPT_FLAG = 0x1
    XCN_NCRYPT_ALLOW_SIGNING_FLAG = 0x2
    XCN_NCRYPT_ALLOW_KEY_AGREEMENT_FLAG = 0x4
    XCN_NCRYPT_ALLOW_ALL_USAGES = 0xFFFFFF


XCN_NCRYPT_ALLOW_USAGES_NONE: Final = X509PrivateKeyUsageFlags.XCN_NCRYPT_ALLOW_USAGES_NONE
XCN_NCRYPT_ALLOW_DECRYPT_FLAG: Final = X509PrivateKeyUsageFlags.XCN_NCRYPT_ALLOW_DECRYPT_FLAG
XCN_NCRYPT_ALLOW_SIGNING_FLAG: Final = X509PrivateKeyUsageFlags.XCN_NCRYPT_ALLOW_SIGNING_FLAG
XCN_NCRYPT_ALLOW_KEY_AGREEMENT_FLAG: Final = X509PrivateKeyUsageFlags.XCN_NCRYPT_ALLOW_KEY_AGREEMENT_FLAG
XCN_NCRYPT_ALLOW_ALL_USAGES: Final = X509PrivateKeyUsageFlags.XCN_NCRYPT_ALLOW_ALL_USAGES


class X509PrivateKeyProtection(IntFlag):
    """How a key asks."""

    XCN_NCRYPT_UI_NO_PROTECTION_FLAG = 0x0
    XCN_NCRYPT_UI_PROTECT_KEY_FLAG = 0x1
    XCN_NCRYPT_UI_FORCE_HIGH_PROTECTION_FLAG = 0x2


XCN_NCRYPT_UI_NO_PROTECTION_FLAG: Final = X509PrivateKeyProtection.XCN_NCRYPT_UI_NO_PROTECTION_FLAG
XCN_NCRYPT_UI_PROTECT_KEY_FLAG: Final = X509PrivateKeyProtection.XCN_NCRYPT_UI_PROTECT_KEY_FLAG
XCN_NCRYPT_UI_FORCE_HIGH_PROTECTION_FLAG: Final = X509PrivateKeyProtection.XCN_NCRYPT_UI_FORCE_HIGH_PROTECTION_FLAG


class X509PrivateKeyVerify(IntEnum):
    """How far Verify goes."""

    VerifyNone = 0
    VerifySilent = 1
    VerifySmartCardNone = 2
    VerifySmartCardSilent = 3
    VerifyAllowUI = 4


VerifyNone: Final = X509PrivateKeyVerify.VerifyNone
VerifySilent: Final = X509PrivateKeyVerify.VerifySilent
VerifySmartCardNone: Final = X509PrivateKeyVerify.VerifySmartCardNone
VerifySmartCardSilent: Final = X509PrivateKeyVerify.VerifySmartCardSilent
VerifyAllowUI: Final = X509PrivateKeyVerify.VerifyAllowUI


class X509KeySpec(IntEnum):
    """Slot of a legacy key."""

    XCN_AT_NONE = 0
    XCN_AT_KEYEXCHANGE = 1
    XCN_AT_SIGNATURE = 2


XCN_AT_NONE: Final = X509KeySpec.XCN_AT_NONE
XCN_AT_KEYEXCHANGE: Final = X509KeySpec.XCN_AT_KEYEXCHANGE
XCN_AT_SIGNATURE: Final = X509KeySpec.XCN_AT_SIGNATURE


class X509KeyUsageFlags(IntFlag):
    """Bits of the key usage extension."""

    XCN_CERT_NO_KEY_USAGE = 0x0
    XCN_CERT_DIGITAL_SIGNATURE_KEY_USAGE = 0x80
    XCN_CERT_NON_REPUDIATION_KEY_USAGE = 0x40
    XCN_CERT_KEY_ENCIPHERMENT_KEY_USAGE = 0x20
    XCN_CERT_DATA_ENCIPHERMENT_KEY_USAGE = 0x10
    XCN_CERT_KEY_AGREEMENT_KEY_USAGE = 0x8
    XCN_CERT_KEY_CERT_SIGN_KEY_USAGE = 0x4
    XCN_CERT_OFFLINE_CRL_SIGN_KEY_USAGE = 0x2
    XCN_CERT_CRL_SIGN_KEY_USAGE = 0x2
    XCN_CERT_ENCIPHER_ONLY_KEY_USAGE = 0x1
    XCN_CERT_DECIPHER_ONLY_KEY_USAGE = 0x8000


XCN_CERT_NO_KEY_USAGE: Final = X509KeyUsageFlags.XCN_CERT_NO_KEY_USAGE
XCN_CERT_DIGITAL_SIGNATURE_KEY_USAGE: Final = X509KeyUsageFlags.XCN_CERT_DIGITAL_SIGNATURE_KEY_USAGE
XCN_CERT_NON_REPUDIATION_KEY_USAGE: Final = X509KeyUsageFlags.XCN_CERT_NON_REPUDIATION_KEY_USAGE
XCN_CERT_KEY_ENCIPHERMENT_KEY_USAGE: Final = X509KeyUsageFlags.XCN_CERT_KEY_ENCIPHERMENT_KEY_USAGE
XCN_CERT_DATA_ENCIPHERMENT_KEY_USAGE: Final = X509KeyUsageFlags.XCN_CERT_DATA_ENCIPHERMENT_KEY_USAGE
XCN_CERT_KEY_AGREEMENT_KEY_USAGE: Final = X509KeyUsageFlags.XCN_CERT_KEY_AGREEMENT_KEY_USAGE
XCN_CERT_KEY_CERT_SIGN_KEY_USAGE: Final = X509KeyUsageFlags.XCN_CERT_KEY_CERT_SIGN_KEY_USAGE
XCN_CERT_OFFLINE_CRL_SIGN_KEY_USAGE: Final = X509KeyUsageFlags.XCN_CERT_OFFLINE_CRL_SIGN_KEY_USAGE
XCN_CERT_CRL_SIGN_KEY_USAGE: Final = X509KeyUsageFlags.XCN_CERT_CRL_SIGN_KEY_USAGE
XCN_CERT_ENCIPHER_ONLY_KEY_USAGE: Final = X509KeyUsageFlags.XCN_CERT_ENCIPHER_ONLY_KEY_USAGE
XCN_CERT_DECIPHER_ONLY_KEY_USAGE: Final = X509KeyUsageFlags.XCN_CERT_DECIPHER_ONLY_KEY_USAGE


class X509ProviderType(IntEnum):
    """PROV_* as COM has them."""

    XCN_PROV_NONE = 0
    XCN_PROV_RSA_FULL = 1
    XCN_PROV_RSA_SIG = 2
    XCN_PROV_DSS = 3
    XCN_PROV_RSA_SCHANNEL = 12
    XCN_PROV_DH_SCHANNEL = 18
    XCN_PROV_RSA_AES = 24


XCN_PROV_NONE: Final = X509ProviderType.XCN_PROV_NONE
XCN_PROV_RSA_FULL: Final = X509ProviderType.XCN_PROV_RSA_FULL
XCN_PROV_RSA_SIG: Final = X509ProviderType.XCN_PROV_RSA_SIG
XCN_PROV_DSS: Final = X509ProviderType.XCN_PROV_DSS
XCN_PROV_RSA_SCHANNEL: Final = X509ProviderType.XCN_PROV_RSA_SCHANNEL
XCN_PROV_DH_SCHANNEL: Final = X509ProviderType.XCN_PROV_DH_SCHANNEL
XCN_PROV_RSA_AES: Final = X509ProviderType.XCN_PROV_RSA_AES


class X509RequestType(IntEnum):
    """Kinds of request."""

    TypeAny = 0
    TypePkcs10 = 1
    TypePkcs7 = 2
    TypeCmc = 3
    TypeCertificate = 4


TypeAny: Final = X509RequestType.TypeAny
TypePkcs10: Final = X509RequestType.TypePkcs10
TypePkcs7: Final = X509RequestType.TypePkcs7
TypeCmc: Final = X509RequestType.TypeCmc
TypeCertificate: Final = X509RequestType.TypeCertificate


class X509RequestInheritOptions(IntFlag):
    """What a request takes over from a certificate."""

    InheritDefault = 0x0
    InheritNewDefaultKey = 0x1
    InheritNewSimilarKey = 0x2
    InheritPrivateKey = 0x3
    InheritPublicKey = 0x4
    InheritKeyMask = 0xF
    InheritNone = 0x10
    InheritRenewalCertificateFlag = 0x20
    InheritTemplateFlag = 0x40
    InheritSubjectFlag = 0x80
    InheritExtensionsFlag = 0x100
    InheritSubjectAltNameFlag = 0x200
    InheritValidityPeriodFlag = 0x400


InheritDefault: Final = X509RequestInheritOptions.InheritDefault
InheritNewDefaultKey: Final = X509RequestInheritOptions.InheritNewDefaultKey
InheritNewSimilarKey: Final = X509RequestInheritOptions.InheritNewSimilarKey
InheritPrivateKey: Final = X509RequestInheritOptions.InheritPrivateKey
InheritPublicKey: Final = X509RequestInheritOptions.InheritPublicKey
InheritKeyMask: Final = X509RequestInheritOptions.InheritKeyMask
InheritNone: Final = X509RequestInheritOptions.InheritNone
InheritRenewalCertificateFlag: Final = X509RequestInheritOptions.InheritRenewalCertificateFlag
InheritTemplateFlag: Final = X509RequestInheritOptions.InheritTemplateFlag
InheritSubjectFlag: Final = X509RequestInheritOptions.InheritSubjectFlag
InheritExtensionsFlag: Final = X509RequestInheritOptions.InheritExtensionsFlag
InheritSubjectAltNameFlag: Final = X509RequestInheritOptions.InheritSubjectAltNameFlag
InheritValidityPeriodFlag: Final = X509RequestInheritOptions.InheritValidityPeriodFlag


class Pkcs10AllowedSignatureTypes(IntFlag):
    """Signatures that CheckSignature accepts."""

    AllowedKeySignature = 0x1
    AllowedNullSignature = 0x2


AllowedKeySignature: Final = Pkcs10AllowedSignatureTypes.AllowedKeySignature
AllowedNullSignature: Final = Pkcs10AllowedSignatureTypes.AllowedNullSignature


class InnerRequestLevel(IntEnum):
    """Which inner request."""

    LevelInnermost = 0
    LevelNext = 1


LevelInnermost: Final = InnerRequestLevel.LevelInnermost
LevelNext: Final = InnerRequestLevel.LevelNext


class KeyIdentifierHashAlgorithm(IntEnum):
    """How a key identifier is made."""

    SKIHashDefault = 0
    SKIHashSha1 = 1
    SKIHashCapiSha1 = 2


SKIHashDefault: Final = KeyIdentifierHashAlgorithm.SKIHashDefault
SKIHashSha1: Final = KeyIdentifierHashAlgorithm.SKIHashSha1
SKIHashCapiSha1: Final = KeyIdentifierHashAlgorithm.SKIHashCapiSha1


class RequestClientInfoClientId(IntEnum):
    """Who made a request."""

    ClientIdNone = 0
    ClientIdXEnroll2003 = 1
    ClientIdAutoEnroll2003 = 2
    ClientIdWizard2003 = 3
    ClientIdCertReq2003 = 4
    ClientIdDefaultRequest = 5
    ClientIdAutoEnroll = 6
    ClientIdRequestWizard = 7
    ClientIdEOBO = 8
    ClientIdCertReq = 9
    ClientIdTest = 10
    ClientIdUserStart = 1000


ClientIdNone: Final = RequestClientInfoClientId.ClientIdNone
ClientIdXEnroll2003: Final = RequestClientInfoClientId.ClientIdXEnroll2003
ClientIdAutoEnroll2003: Final = RequestClientInfoClientId.ClientIdAutoEnroll2003
ClientIdWizard2003: Final = RequestClientInfoClientId.ClientIdWizard2003
ClientIdCertReq2003: Final = RequestClientInfoClientId.ClientIdCertReq2003
ClientIdDefaultRequest: Final = RequestClientInfoClientId.ClientIdDefaultRequest
ClientIdAutoEnroll: Final = RequestClientInfoClientId.ClientIdAutoEnroll
ClientIdRequestWizard: Final = RequestClientInfoClientId.ClientIdRequestWizard
ClientIdEOBO: Final = RequestClientInfoClientId.ClientIdEOBO
ClientIdCertReq: Final = RequestClientInfoClientId.ClientIdCertReq
ClientIdTest: Final = RequestClientInfoClientId.ClientIdTest
ClientIdUserStart: Final = RequestClientInfoClientId.ClientIdUserStart


class EnrollmentEnrollStatus(IntEnum):
    """How an enrolment stands."""

    Enrolled = 1
    EnrollPended = 2
    EnrollUIDeferredEnrollmentRequired = 4
    EnrollError = 0x10
    EnrollUnknown = 0x20
    EnrollSkipped = 0x40
    EnrollDenied = 0x100


Enrolled: Final = EnrollmentEnrollStatus.Enrolled
EnrollPended: Final = EnrollmentEnrollStatus.EnrollPended
EnrollUIDeferredEnrollmentRequired: Final = EnrollmentEnrollStatus.EnrollUIDeferredEnrollmentRequired
EnrollError: Final = EnrollmentEnrollStatus.EnrollError
EnrollUnknown: Final = EnrollmentEnrollStatus.EnrollUnknown
EnrollSkipped: Final = EnrollmentEnrollStatus.EnrollSkipped
EnrollDenied: Final = EnrollmentEnrollStatus.EnrollDenied


class EnrollmentDisplayStatus(IntEnum):
    """Whether it is shown."""

    DisplayNo = 0
    DisplayYes = 1


DisplayNo: Final = EnrollmentDisplayStatus.DisplayNo
DisplayYes: Final = EnrollmentDisplayStatus.DisplayYes


class EnrollmentSelectionStatus(IntEnum):
    """Whether it is chosen."""

    SelectedNo = 0
    SelectedYes = 1


SelectedNo: Final = EnrollmentSelectionStatus.SelectedNo
SelectedYes: Final = EnrollmentSelectionStatus.SelectedYes


class AlternativeNameType(IntEnum):
    """Kinds of alternative name."""

    XCN_CERT_ALT_NAME_UNKNOWN = 0
    XCN_CERT_ALT_NAME_OTHER_NAME = 1
    XCN_CERT_ALT_NAME_RFC822_NAME = 2
    XCN_CERT_ALT_NAME_DNS_NAME = 3
    XCN_CERT_ALT_NAME_DIRECTORY_NAME = 5
    XCN_CERT_ALT_NAME_URL = 7
    XCN_CERT_ALT_NAME_IP_ADDRESS = 8
    XCN_CERT_ALT_NAME_REGISTERED_ID = 9
    XCN_CERT_ALT_NAME_GUID = 10
    XCN_CERT_ALT_NAME_USER_PRINCIPLE_NAME = 11


XCN_CERT_ALT_NAME_UNKNOWN: Final = AlternativeNameType.XCN_CERT_ALT_NAME_UNKNOWN
XCN_CERT_ALT_NAME_OTHER_NAME: Final = AlternativeNameType.XCN_CERT_ALT_NAME_OTHER_NAME
XCN_CERT_ALT_NAME_RFC822_NAME: Final = AlternativeNameType.XCN_CERT_ALT_NAME_RFC822_NAME
XCN_CERT_ALT_NAME_DNS_NAME: Final = AlternativeNameType.XCN_CERT_ALT_NAME_DNS_NAME
XCN_CERT_ALT_NAME_DIRECTORY_NAME: Final = AlternativeNameType.XCN_CERT_ALT_NAME_DIRECTORY_NAME
XCN_CERT_ALT_NAME_URL: Final = AlternativeNameType.XCN_CERT_ALT_NAME_URL
XCN_CERT_ALT_NAME_IP_ADDRESS: Final = AlternativeNameType.XCN_CERT_ALT_NAME_IP_ADDRESS
XCN_CERT_ALT_NAME_REGISTERED_ID: Final = AlternativeNameType.XCN_CERT_ALT_NAME_REGISTERED_ID
XCN_CERT_ALT_NAME_GUID: Final = AlternativeNameType.XCN_CERT_ALT_NAME_GUID
XCN_CERT_ALT_NAME_USER_PRINCIPLE_NAME: Final = AlternativeNameType.XCN_CERT_ALT_NAME_USER_PRINCIPLE_NAME


class X500NameFlags(IntFlag):
    """Forms of a name as text; the numbers of CERT_NAME_STR_*."""

    XCN_CERT_NAME_STR_NONE = 0x0
    XCN_CERT_SIMPLE_NAME_STR = 0x1
    XCN_CERT_OID_NAME_STR = 0x2
    XCN_CERT_X500_NAME_STR = 0x3
    XCN_CERT_XML_NAME_STR = 0x4
    XCN_CERT_NAME_STR_DISABLE_IE4_UTF8_FLAG = 0x10000
    XCN_CERT_NAME_STR_ENABLE_T61_UNICODE_FLAG = 0x20000
    XCN_CERT_NAME_STR_ENABLE_UTF8_UNICODE_FLAG = 0x40000
    XCN_CERT_NAME_STR_FORCE_UTF8_DIR_STR_FLAG = 0x80000
    XCN_CERT_NAME_STR_DISABLE_UTF8_DIR_STR_FLAG = 0x100000
    XCN_CERT_NAME_STR_ENABLE_PUNYCODE_FLAG = 0x200000
    XCN_CERT_NAME_STR_FORWARD_FLAG = 0x1000000
    XCN_CERT_NAME_STR_REVERSE_FLAG = 0x2000000
    XCN_CERT_NAME_STR_COMMA_FLAG = 0x4000000
    XCN_CERT_NAME_STR_CRLF_FLAG = 0x8000000
    XCN_CERT_NAME_STR_NO_QUOTING_FLAG = 0x10000000
    XCN_CERT_NAME_STR_NO_PLUS_FLAG = 0x20000000
    XCN_CERT_NAME_STR_SEMICOLON_FLAG = 0x40000000


XCN_CERT_NAME_STR_NONE: Final = X500NameFlags.XCN_CERT_NAME_STR_NONE
XCN_CERT_SIMPLE_NAME_STR: Final = X500NameFlags.XCN_CERT_SIMPLE_NAME_STR
XCN_CERT_OID_NAME_STR: Final = X500NameFlags.XCN_CERT_OID_NAME_STR
XCN_CERT_X500_NAME_STR: Final = X500NameFlags.XCN_CERT_X500_NAME_STR
XCN_CERT_XML_NAME_STR: Final = X500NameFlags.XCN_CERT_XML_NAME_STR
XCN_CERT_NAME_STR_DISABLE_IE4_UTF8_FLAG: Final = X500NameFlags.XCN_CERT_NAME_STR_DISABLE_IE4_UTF8_FLAG
XCN_CERT_NAME_STR_ENABLE_T61_UNICODE_FLAG: Final = X500NameFlags.XCN_CERT_NAME_STR_ENABLE_T61_UNICODE_FLAG
XCN_CERT_NAME_STR_ENABLE_UTF8_UNICODE_FLAG: Final = X500NameFlags.XCN_CERT_NAME_STR_ENABLE_UTF8_UNICODE_FLAG
XCN_CERT_NAME_STR_FORCE_UTF8_DIR_STR_FLAG: Final = X500NameFlags.XCN_CERT_NAME_STR_FORCE_UTF8_DIR_STR_FLAG
XCN_CERT_NAME_STR_DISABLE_UTF8_DIR_STR_FLAG: Final = X500NameFlags.XCN_CERT_NAME_STR_DISABLE_UTF8_DIR_STR_FLAG
XCN_CERT_NAME_STR_ENABLE_PUNYCODE_FLAG: Final = X500NameFlags.XCN_CERT_NAME_STR_ENABLE_PUNYCODE_FLAG
XCN_CERT_NAME_STR_FORWARD_FLAG: Final = X500NameFlags.XCN_CERT_NAME_STR_FORWARD_FLAG
XCN_CERT_NAME_STR_REVERSE_FLAG: Final = X500NameFlags.XCN_CERT_NAME_STR_REVERSE_FLAG
XCN_CERT_NAME_STR_COMMA_FLAG: Final = X500NameFlags.XCN_CERT_NAME_STR_COMMA_FLAG
XCN_CERT_NAME_STR_CRLF_FLAG: Final = X500NameFlags.XCN_CERT_NAME_STR_CRLF_FLAG
XCN_CERT_NAME_STR_NO_QUOTING_FLAG: Final = X500NameFlags.XCN_CERT_NAME_STR_NO_QUOTING_FLAG
XCN_CERT_NAME_STR_NO_PLUS_FLAG: Final = X500NameFlags.XCN_CERT_NAME_STR_NO_PLUS_FLAG
XCN_CERT_NAME_STR_SEMICOLON_FLAG: Final = X500NameFlags.XCN_CERT_NAME_STR_SEMICOLON_FLAG


class PFXExportOptions(IntEnum):
    """Which certificates go into a PFX."""

    PFXExportEEOnly = 0
    PFXExportChainNoRoot = 1
    PFXExportChainWithRoot = 2


PFXExportEEOnly: Final = PFXExportOptions.PFXExportEEOnly
PFXExportChainNoRoot: Final = PFXExportOptions.PFXExportChainNoRoot
PFXExportChainWithRoot: Final = PFXExportOptions.PFXExportChainWithRoot
