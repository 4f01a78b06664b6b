/* CryptoAPI: what Windows makes of session keys and keyed hashes, all from the password "password"; one line for each.
 *
 *   session   derive HASH KEY value | mode KEY MODE first second | hmac HASH value | mac LENGTH value
 *             | key FLAGS value | salt FLAGS salt ciphertext          (numbers in hexadecimal)
 */
#include "exchange.h"
#include <wincrypt.h>

static HCRYPTPROV prov;

static HCRYPTKEY derived(ALG_ID hash_algorithm, ALG_ID algorithm, DWORD flags)
{
    HCRYPTHASH hash;
    HCRYPTKEY key;
    check(CryptCreateHash(prov, hash_algorithm, 0, 0, &hash), "CryptCreateHash");
    check(CryptHashData(hash, (const BYTE *)"password", 8, 0), "CryptHashData");
    check(CryptDeriveKey(prov, algorithm, hash, flags | CRYPT_EXPORTABLE, &key), "CryptDeriveKey");
    return key;
}

static void print_value(HCRYPTHASH hash)
{
    BYTE value[64];
    DWORD size = sizeof value;
    check(CryptGetHashParam(hash, HP_HASHVAL, value, &size, 0), "CryptGetHashParam");
    print_hex(value, size);
    printf("\n");
}

static void print_encrypted(HCRYPTKEY key, BOOL final, const char *text)
{
    BYTE data[128] = {0};
    DWORD size = strlen(text);
    memcpy(data, text, size);
    check(CryptEncrypt(key, 0, final, 0, data, &size, sizeof data), "CryptEncrypt");
    printf(" ");
    print_hex(data, size);
}

static void print_derived(ALG_ID hash_algorithm, ALG_ID algorithm)
{
    BYTE blob[128];
    DWORD size = sizeof blob;
    check(CryptExportKey(derived(hash_algorithm, algorithm, 0), 0, PLAINTEXTKEYBLOB, 0, blob, &size), "CryptExportKey");
    printf("derive %x %x ", hash_algorithm, algorithm);
    print_hex(blob + 12, size - 12);
    printf("\n");
}

static void print_mode(ALG_ID algorithm, DWORD mode)
{
    HCRYPTKEY key = derived(CALG_SHA_256, algorithm, 0);
    BYTE vector[16];
    for (int at = 0; at < 16; at++) {
        vector[at] = at;
    }
    check(CryptSetKeyParam(key, KP_MODE, (BYTE *)&mode, 0), "KP_MODE");
    check(CryptSetKeyParam(key, KP_IV, vector, 0), "KP_IV");
    printf("mode %x %lx", algorithm, mode);
    print_encrypted(key, FALSE, "two whole blocks, 32 bytes long.");
    print_encrypted(key, TRUE, "a rest");
    printf("\n");
}

static void print_hmac(ALG_ID algorithm)
{
    HMAC_INFO info = {algorithm};
    HCRYPTHASH hash;
    check(CryptCreateHash(prov, CALG_HMAC, derived(CALG_SHA1, CALG_RC4, 0), 0, &hash), "CryptCreateHash");
    check(CryptSetHashParam(hash, HP_HMAC_INFO, (BYTE *)&info, 0), "HP_HMAC_INFO");
    check(CryptHashData(hash, (const BYTE *)"data", 4, 0), "CryptHashData");
    printf("hmac %x ", algorithm);
    print_value(hash);
}

static void print_mac(DWORD length)
{
    HCRYPTHASH hash;
    check(CryptCreateHash(prov, CALG_MAC, derived(CALG_SHA1, CALG_3DES, 0), 0, &hash), "CryptCreateHash");
    check(CryptHashData(hash, (const BYTE *)"data of some length", length, 0), "CryptHashData");
    printf("mac %lx ", length);
    print_value(hash);
}

static void print_hashed_key(DWORD flags)
{
    HCRYPTHASH hash;
    check(CryptCreateHash(prov, CALG_SHA1, 0, 0, &hash), "CryptCreateHash");
    check(CryptHashSessionKey(hash, derived(CALG_SHA1, CALG_AES_256, 0), flags), "CryptHashSessionKey");
    printf("key %lx ", flags);
    print_value(hash);
}

static void print_salted(DWORD flags)
{
    HCRYPTKEY key = derived(CALG_MD5, CALG_RC4, (40 << 16) | flags);
    BYTE salt[32];
    DWORD size = sizeof salt;
    check(CryptGetKeyParam(key, KP_SALT, salt, &size, 0), "KP_SALT");
    printf("salt %lx ", flags);
    print_hex(salt, size);
    printf("-");
    print_encrypted(key, TRUE, "a message");
    printf("\n");
}

int main(void)
{
    static const ALG_ID hashes[] = {CALG_MD5, CALG_SHA1, CALG_SHA_256, CALG_SHA_384, CALG_SHA_512};
    static const ALG_ID keys[] = {CALG_RC2,  CALG_DES,     CALG_3DES_112, CALG_3DES,
                                  CALG_AES_128, CALG_AES_192, CALG_AES_256, CALG_RC4};
    static const DWORD modes[] = {CRYPT_MODE_CBC, CRYPT_MODE_ECB, CRYPT_MODE_CFB};
    static const DWORD salts[] = {0, CRYPT_NO_SALT, CRYPT_CREATE_SALT};
    check(CryptAcquireContextA(&prov, NULL, NULL, PROV_RSA_AES, CRYPT_VERIFYCONTEXT), "CryptAcquireContext");
    for (int hash = 0; hash < 5; hash++) {
        for (int key = 0; key < 8; key++) {
            print_derived(hashes[hash], keys[key]);
        }
        if (hash < 3) { /* Wine pads to 64 bytes for SHA-384 and SHA-512 too, which RFC 2104 does not */
            print_hmac(hashes[hash]);
        }
    }
    for (int key = 0; key < 7; key++) {
        for (int mode = 0; mode < 3; mode++) {
            print_mode(keys[key], modes[mode]);
        }
    }
    for (DWORD length = 1; length < 18; length += 4) {
        print_mac(length);
    }
    for (int at = 0; at < 3; at++) {
        print_salted(salts[at]);
    }
    print_hashed_key(0);
    print_hashed_key(CRYPT_LITTLE_ENDIAN);
    return 0;
}
