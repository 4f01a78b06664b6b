/* Certificate stores, through files in one directory.
 *
 *   stores write DIR   certificates 0.der, 1.der … with a key link and a friendly name each: store.sst, store.p7b, and of
 *                      the first: element.bin
 *   stores read DIR    prints what is in store.sst, one line a certificate
 *   stores list DIR F  prints the same of the file F, as the provider for files opens it
 */
#include "exchange.h"
#include <wincrypt.h>

static void link_to(PCCERT_CONTEXT certificate, int number)
{
    WCHAR container[64], name[64];
    BYTE pin[] = "nothing";
    CRYPT_KEY_PROV_PARAM param = {PP_CLIENT_HWND, pin, sizeof pin, 0};
    CRYPT_KEY_PROV_INFO link = {container, (WCHAR *)L"Microsoft Base Smart Card Crypto Provider", PROV_RSA_FULL,
                                CERT_SET_KEY_PROV_HANDLE_PROP_ID, number ? 0 : 1, number ? NULL : &param,
                                number % 2 ? AT_SIGNATURE : AT_KEYEXCHANGE};
    CRYPT_DATA_BLOB friendly = {0, (BYTE *)name};
    swprintf(container, 64, L"container-%d", number);
    swprintf(name, 64, L"certificate \x00fc %d", number);
    friendly.cbData = (DWORD)(wcslen(name) + 1) * sizeof(WCHAR);
    check(CertSetCertificateContextProperty(certificate, CERT_KEY_PROV_INFO_PROP_ID, 0, &link), "set link");
    check(CertSetCertificateContextProperty(certificate, CERT_FRIENDLY_NAME_PROP_ID, 0, &friendly), "set name");
}

static void save_as(HCERTSTORE store, DWORD form, const char *directory, const char *name)
{
    CRYPT_DATA_BLOB blob = {0, NULL};
    check(CertSaveStore(store, X509_ASN_ENCODING | PKCS_7_ASN_ENCODING, form, CERT_STORE_SAVE_TO_MEMORY, &blob, 0),
          "CertSaveStore");
    blob.pbData = room(blob.cbData).data;
    check(CertSaveStore(store, X509_ASN_ENCODING | PKCS_7_ASN_ENCODING, form, CERT_STORE_SAVE_TO_MEMORY, &blob, 0),
          "CertSaveStore");
    save(directory, name, blob.pbData, blob.cbData);
}

static void write_stores(const char *directory)
{
    HCERTSTORE store = CertOpenStore(CERT_STORE_PROV_MEMORY, 0, 0, 0, NULL);
    check(store != NULL, "CertOpenStore");
    for (int number = 0; number < 16; number++) {
        char name[16];
        PCCERT_CONTEXT made;
        struct bytes der, element = room(65536);
        FILE *file;
        snprintf(name, sizeof name, "%d.der", number);
        if (!(file = file_in(directory, name, "rb"))) {
            break;
        }
        fclose(file);
        der = load(directory, name);
        check(CertAddEncodedCertificateToStore(store, X509_ASN_ENCODING, der.data, der.size, CERT_STORE_ADD_NEW, &made),
              "CertAddEncodedCertificateToStore");
        link_to(made, number);
        if (!number) {
            check(CertSerializeCertificateStoreElement(made, 0, NULL, &element.size), "serialize");
            check(CertSerializeCertificateStoreElement(made, 0, element.data, &element.size), "serialize");
            save(directory, "element.bin", element.data, element.size);
        }
        CertFreeCertificateContext(made);
    }
    save_as(store, CERT_STORE_SAVE_AS_STORE, directory, "store.sst");
    save_as(store, CERT_STORE_SAVE_AS_PKCS7, directory, "store.p7b");
}

static void print_thumbprint(PCCERT_CONTEXT certificate)
{
    BYTE digest[20];
    DWORD size = sizeof digest;
    check(CertGetCertificateContextProperty(certificate, CERT_SHA1_HASH_PROP_ID, digest, &size), "SHA-1");
    print_hex(digest, size);
}

static void print_link(PCCERT_CONTEXT certificate)
{
    struct bytes room_for_link = room(4096);
    CRYPT_KEY_PROV_INFO *link = (CRYPT_KEY_PROV_INFO *)room_for_link.data;
    if (!CertGetCertificateContextProperty(certificate, CERT_KEY_PROV_INFO_PROP_ID, link, &room_for_link.size)) {
        printf("|||||");
        return;
    }
    printf("|%ls|%ls|%lu|%lx|%lu", link->pwszContainerName, link->pwszProvName, link->dwProvType, link->dwFlags,
           link->dwKeySpec);
    for (DWORD at = 0; at < link->cProvParam; at++) {
        printf("|%lu:", link->rgProvParam[at].dwParam);
        print_hex(link->rgProvParam[at].pbData, link->rgProvParam[at].cbData);
    }
}

static void print_name(PCCERT_CONTEXT certificate)
{
    struct bytes name = room(1024);
    printf("|name=");
    if (CertGetCertificateContextProperty(certificate, CERT_FRIENDLY_NAME_PROP_ID, name.data, &name.size)) {
        print_hex(name.data, name.size);
    }
}

static HCERTSTORE open_file(const char *directory, const char *name)
{
    char path[MAX_PATH];
    HCERTSTORE store;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    store = CertOpenStore(CERT_STORE_PROV_FILENAME_A, X509_ASN_ENCODING | PKCS_7_ASN_ENCODING, 0,
                          CERT_STORE_OPEN_EXISTING_FLAG | CERT_STORE_READONLY_FLAG, path);
    check(store != NULL, "CertOpenStore");
    return store;
}

/* Element by element: Wine 8 reads no serialized store whose elements have properties, its own included. */
static HCERTSTORE open_elements(const char *directory, const char *name)
{
    struct bytes content = load(directory, name);
    HCERTSTORE store = CertOpenStore(CERT_STORE_PROV_MEMORY, 0, 0, 0, NULL);
    DWORD start = 8, at = 8, record[3];
    while (at + sizeof record <= content.size) {
        memcpy(record, content.data + at, sizeof record);
        at += sizeof record + record[2];
        if (record[0] == 32) {
            check(CertAddSerializedElementToStore(store, content.data + start, at - start, CERT_STORE_ADD_NEW, 0,
                                                  CERT_STORE_CERTIFICATE_CONTEXT_FLAG, NULL, NULL), "element");
            start = at;
        }
    }
    return store;
}

static void print_store(HCERTSTORE store)
{
    PCCERT_CONTEXT certificate = NULL;
    while ((certificate = CertEnumCertificatesInStore(store, certificate))) {
        print_thumbprint(certificate);
        print_link(certificate);
        print_name(certificate);
        printf("\n");
    }
}

int main(int count, char **words)
{
    const char *verb = count > 2 ? words[1] : "";
    if (!strcmp(verb, "write")) {
        write_stores(words[2]);
    } else if (!strcmp(verb, "read")) {
        print_store(open_elements(words[2], "store.sst"));
    } else if (!strcmp(verb, "list") && count == 4) {
        print_store(open_file(words[2], words[3]));
    } else {
        return 2;
    }
    return 0;
}
