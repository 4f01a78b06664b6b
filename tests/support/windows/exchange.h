/* What the exchange programs share: whole files in and out, and a way to stop that names the Windows code. */
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bytes {
    BYTE *data;
    DWORD size;
};

static inline void check(BOOL done, const char *what)
{
    if (!done) {
        printf("%s: 0x%08lX\n", what, GetLastError());
        exit(3);
    }
}

static inline struct bytes room(DWORD size)
{
    struct bytes made = {calloc(1, size + 16), size};
    return made;
}

static inline FILE *file_in(const char *directory, const char *name, const char *mode)
{
    char path[MAX_PATH];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return fopen(path, mode);
}

static inline struct bytes load(const char *directory, const char *name)
{
    FILE *file = file_in(directory, name, "rb");
    struct bytes found = {NULL, 0};
    if (!file) {
        printf("no %s\n", name);
        exit(4);
    }
    fseek(file, 0, SEEK_END);
    found = room(ftell(file));
    rewind(file);
    fread(found.data, 1, found.size, file);
    fclose(file);
    return found;
}

static inline void save(const char *directory, const char *name, const void *data, DWORD size)
{
    FILE *file = file_in(directory, name, "wb");
    fwrite(data, 1, size, file);
    fclose(file);
}

static inline void print_hex(const BYTE *data, DWORD size)
{
    for (DWORD at = 0; at < size; at++) {
        printf("%02x", data[at]);
    }
}
