/* CryptoAPI: keys, blobs and signatures, through files in one directory.
 *
 *   capi make DIR      a new RSA key: pub.blob, priv.blob, and sig.bin over data.bin (SHA-256)
 *   capi verify DIR    sig.bin over data.bin by pub.blob
 *   capi wrap DIR      plain.bin under a new AES-128 key, that under pub.blob: cipher.bin, simple.blob
 *   capi unwrap DIR    plain.bin from cipher.bin, simple.blob and priv.blob
 *   capi derive DIR N  CryptDeriveKey (ALG_ID N, hexadecimal) of the SHA-1 of data.bin: key.blob, and cipher.bin of plain.bin
 *   capi encrypt DIR   cipher.bin of plain.bin by the PLAINTEXTKEYBLOB key.blob
 */
#include "exchange.h"
#include <wincrypt.h>

static HCRYPTPROV provider(void)
{
    HCRYPTPROV made;
    check(CryptAcquireContextA(&made, NULL, NULL, PROV_RSA_AES, CRYPT_VERIFYCONTEXT), "CryptAcquireContext");
    return made;
}

static HCRYPTKEY import(HCRYPTPROV prov, HCRYPTKEY by, const char *directory, const char *name)
{
    struct bytes blob = load(directory, name);
    HCRYPTKEY key;
    check(CryptImportKey(prov, blob.data, blob.size, by, 0, &key), "CryptImportKey");
    return key;
}

static void export(HCRYPTKEY key, HCRYPTKEY by, DWORD type, const char *directory, const char *name)
{
    struct bytes blob = room(8192);
    check(CryptExportKey(key, by, type, 0, blob.data, &blob.size), "CryptExportKey");
    save(directory, name, blob.data, blob.size);
}

static HCRYPTHASH hash_of(HCRYPTPROV prov, ALG_ID algorithm, const char *directory)
{
    struct bytes data = load(directory, "data.bin");
    HCRYPTHASH hash;
    check(CryptCreateHash(prov, algorithm, 0, 0, &hash), "CryptCreateHash");
    check(CryptHashData(hash, data.data, data.size, 0), "CryptHashData");
    return hash;
}

static void encrypt(HCRYPTKEY key, const char *directory)
{
    struct bytes plain = load(directory, "plain.bin");
    struct bytes cipher = room(plain.size + 64);
    DWORD size = plain.size;
    memcpy(cipher.data, plain.data, plain.size);
    check(CryptEncrypt(key, 0, TRUE, 0, cipher.data, &size, cipher.size), "CryptEncrypt");
    save(directory, "cipher.bin", cipher.data, size);
}

static void make(const char *directory)
{
    HCRYPTPROV prov = provider();
    HCRYPTKEY key;
    struct bytes signature = room(1024);
    check(CryptGenKey(prov, AT_KEYEXCHANGE, (2048 << 16) | CRYPT_EXPORTABLE, &key), "CryptGenKey");
    export(key, 0, PUBLICKEYBLOB, directory, "pub.blob");
    export(key, 0, PRIVATEKEYBLOB, directory, "priv.blob");
    check(CryptSignHashA(hash_of(prov, CALG_SHA_256, directory), AT_KEYEXCHANGE, NULL, 0, signature.data,
                         &signature.size), "CryptSignHash");
    save(directory, "sig.bin", signature.data, signature.size);
}

static void verify(const char *directory)
{
    HCRYPTPROV prov = provider();
    HCRYPTKEY key = import(prov, 0, directory, "pub.blob");
    struct bytes signature = load(directory, "sig.bin");
    check(CryptVerifySignatureA(hash_of(prov, CALG_SHA_256, directory), signature.data, signature.size, key, NULL, 0),
          "CryptVerifySignature");
}

static void wrap(const char *directory)
{
    HCRYPTPROV prov = provider();
    HCRYPTKEY theirs = import(prov, 0, directory, "pub.blob"), key;
    check(CryptGenKey(prov, CALG_AES_128, CRYPT_EXPORTABLE, &key), "CryptGenKey");
    export(key, theirs, SIMPLEBLOB, directory, "simple.blob");
    encrypt(key, directory);
}

static void unwrap(const char *directory)
{
    HCRYPTPROV prov = provider();
    HCRYPTKEY ours = import(prov, 0, directory, "priv.blob");
    HCRYPTKEY key = import(prov, ours, directory, "simple.blob");
    struct bytes cipher = load(directory, "cipher.bin");
    check(CryptDecrypt(key, 0, TRUE, 0, cipher.data, &cipher.size), "CryptDecrypt");
    save(directory, "plain.bin", cipher.data, cipher.size);
}

static void derive(const char *directory, ALG_ID algorithm)
{
    HCRYPTPROV prov = provider();
    HCRYPTKEY key;
    check(CryptDeriveKey(prov, algorithm, hash_of(prov, CALG_SHA1, directory), CRYPT_EXPORTABLE, &key),
          "CryptDeriveKey");
    export(key, 0, PLAINTEXTKEYBLOB, directory, "key.blob");
    encrypt(key, directory);
}

int main(int count, char **words)
{
    const char *verb = count > 2 ? words[1] : "";
    if (!strcmp(verb, "make")) {
        make(words[2]);
    } else if (!strcmp(verb, "verify")) {
        verify(words[2]);
    } else if (!strcmp(verb, "wrap")) {
        wrap(words[2]);
    } else if (!strcmp(verb, "unwrap")) {
        unwrap(words[2]);
    } else if (!strcmp(verb, "derive") && count == 4) {
        derive(words[2], strtoul(words[3], NULL, 16));
    } else if (!strcmp(verb, "encrypt")) {
        encrypt(import(provider(), 0, words[2], "key.blob"), words[2]);
    } else {
        return 2;
    }
    return 0;
}
