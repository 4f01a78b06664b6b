/* CNG: key blobs and signatures, through files in one directory. ALG is ECDSA_P256, ECDSA_P384 or RSA.
 *
 *   cng make DIR ALG     a new key: pub.blob, priv.blob, and sig.bin over digest.bin (RSA: PKCS#1 with SHA-256)
 *   cng verify DIR ALG   sig.bin over digest.bin by pub.blob
 *   cng sign DIR ALG     sig.bin over digest.bin by priv.blob
 *   cng pss DIR RSA      as verify, PSS with SHA-256 and 32 bytes of salt
 */
#include "exchange.h"
#include <bcrypt.h>

static void succeed(NTSTATUS status, const char *what)
{
    if (status) {
        printf("%s: 0x%08lX\n", what, status);
        exit(3);
    }
}

static BCRYPT_ALG_HANDLE provider(const WCHAR *algorithm)
{
    BCRYPT_ALG_HANDLE made;
    succeed(BCryptOpenAlgorithmProvider(&made, algorithm, NULL, 0), "BCryptOpenAlgorithmProvider");
    return made;
}

static BOOL is_rsa(const WCHAR *algorithm)
{
    return !wcscmp(algorithm, L"RSA");
}

static BCRYPT_KEY_HANDLE import(const WCHAR *algorithm, const WCHAR *type, const char *directory, const char *name)
{
    struct bytes blob = load(directory, name);
    BCRYPT_KEY_HANDLE key;
    succeed(BCryptImportKeyPair(provider(algorithm), NULL, type, &key, blob.data, blob.size, 0), "BCryptImportKeyPair");
    return key;
}

static void export(BCRYPT_KEY_HANDLE key, const WCHAR *type, const char *directory, const char *name)
{
    struct bytes blob = room(8192);
    succeed(BCryptExportKey(key, NULL, type, blob.data, blob.size, &blob.size, 0), "BCryptExportKey");
    save(directory, name, blob.data, blob.size);
}

static void sign(BCRYPT_KEY_HANDLE key, const WCHAR *algorithm, const char *directory)
{
    struct bytes digest = load(directory, "digest.bin"), signature = room(1024);
    BCRYPT_PKCS1_PADDING_INFO padding = {L"SHA256"};
    BOOL padded = is_rsa(algorithm);
    succeed(BCryptSignHash(key, padded ? &padding : NULL, digest.data, digest.size, signature.data, signature.size,
                           &signature.size, padded ? BCRYPT_PAD_PKCS1 : 0), "BCryptSignHash");
    save(directory, "sig.bin", signature.data, signature.size);
}

static void make(const char *directory, const WCHAR *algorithm)
{
    BCRYPT_KEY_HANDLE key;
    int bits = is_rsa(algorithm) ? 2048 : wcscmp(algorithm, L"ECDSA_P384") ? 256 : 384;
    succeed(BCryptGenerateKeyPair(provider(algorithm), &key, bits, 0), "BCryptGenerateKeyPair");
    succeed(BCryptFinalizeKeyPair(key, 0), "BCryptFinalizeKeyPair");
    export(key, is_rsa(algorithm) ? BCRYPT_RSAPUBLIC_BLOB : BCRYPT_ECCPUBLIC_BLOB, directory, "pub.blob");
    export(key, is_rsa(algorithm) ? BCRYPT_RSAFULLPRIVATE_BLOB : BCRYPT_ECCPRIVATE_BLOB, directory, "priv.blob");
    sign(key, algorithm, directory);
}

static void verify(const char *directory, const WCHAR *algorithm, BOOL pss)
{
    struct bytes digest = load(directory, "digest.bin"), signature = load(directory, "sig.bin");
    BCRYPT_PKCS1_PADDING_INFO padding = {L"SHA256"};
    BCRYPT_PSS_PADDING_INFO salted = {L"SHA256", 32};
    BOOL padded = is_rsa(algorithm);
    BCRYPT_KEY_HANDLE key = import(algorithm, padded ? BCRYPT_RSAPUBLIC_BLOB : BCRYPT_ECCPUBLIC_BLOB, directory, "pub.blob");
    void *info = pss ? (void *)&salted : padded ? (void *)&padding : NULL;
    succeed(BCryptVerifySignature(key, info, digest.data, digest.size, signature.data, signature.size,
                                  pss ? BCRYPT_PAD_PSS : padded ? BCRYPT_PAD_PKCS1 : 0), "BCryptVerifySignature");
}

int main(int count, char **words)
{
    WCHAR algorithm[32] = L"";
    const char *verb = count > 3 ? words[1] : "";
    if (count > 3) {
        swprintf(algorithm, 32, L"%hs", words[3]);
    }
    if (!strcmp(verb, "make")) {
        make(words[2], algorithm);
    } else if (!strcmp(verb, "verify") || !strcmp(verb, "pss")) {
        verify(words[2], algorithm, !strcmp(verb, "pss"));
    } else if (!strcmp(verb, "sign")) {
        sign(import(algorithm, is_rsa(algorithm) ? BCRYPT_RSAFULLPRIVATE_BLOB : BCRYPT_ECCPRIVATE_BLOB, words[2],
                    "priv.blob"), algorithm, words[2]);
    } else {
        return 2;
    }
    return 0;
}
