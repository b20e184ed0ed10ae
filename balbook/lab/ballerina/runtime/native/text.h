/* Growing text, and tables of names and values; what the native runtime stands on. */
#ifndef TEXT_H
#define TEXT_H
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { char *at; size_t size, room; } Text;
typedef struct { char *name, *value; } Pair;
typedef struct { Pair *at; size_t size; } Pairs;

static void *grown(void *at, size_t size) {
    void *more = realloc(at, size);
    if (!more) abort();
    return more;
}

static void add_bytes(Text *text, const char *bytes, size_t size) {
    if (text->size + size + 1 > text->room) {
        text->room = (text->size + size + 1) * 2;
        text->at = grown(text->at, text->room);
    }
    memcpy(text->at + text->size, bytes, size);
    text->size += size;
    text->at[text->size] = 0;
}

static void add(Text *text, const char *more) { add_bytes(text, more, strlen(more)); }

static void add_number(Text *text, long number) {
    char digits[24];
    snprintf(digits, sizeof digits, "%ld", number);
    add(text, digits);
}

static char *copied(const char *from, size_t size) {
    Text text = {0};
    add_bytes(&text, from, size);
    return text.at;
}

static void put(Pairs *pairs, char *name, char *value) {
    pairs->at = grown(pairs->at, (pairs->size + 1) * sizeof(Pair));
    pairs->at[pairs->size++] = (Pair){name, value};
}

static const char *get(const Pairs *pairs, const char *name) {
    for (size_t i = 0; i < pairs->size; i++)
        if (!strcasecmp(pairs->at[i].name, name)) return pairs->at[i].value;
    return NULL;
}

static void empty(Pairs *pairs) {
    for (size_t i = 0; i < pairs->size; i++) { free(pairs->at[i].name); free(pairs->at[i].value); }
    free(pairs->at);
    *pairs = (Pairs){0};
}

/* What stands between the quotes of a JSON string. */
static void add_escaped(Text *text, const char *from) {
    for (; *from; from++) {
        unsigned char c = (unsigned char)*from;
        char code[8];
        if (c == '"' || c == '\\') { code[0] = '\\'; code[1] = (char)c; add_bytes(text, code, 2); }
        else if (c < 0x20) { snprintf(code, sizeof code, "\\u%04x", c); add(text, code); }
        else add_bytes(text, from, 1);
    }
}

/* Takes `\t`, `\n`, `\r`, `\"` and `\\` out of a text, in place. */
static void unescape(char *text) {
    char *to = text;
    for (; *text; text++) {
        if (*text == '\\' && text[1]) {
            text++;
            *to++ = *text == 't' ? '\t' : *text == 'n' ? '\n' : *text == 'r' ? '\r' : *text;
        } else *to++ = *text;
    }
    *to = 0;
}

/* Takes %XX out of a text, in place. */
static void percent_decode(char *text) {
    char *to = text;
    for (; *text; text++) {
        if (*text == '%' && isxdigit((unsigned char)text[1]) && isxdigit((unsigned char)text[2])) {
            char code[3] = {text[1], text[2], 0};
            *to++ = (char)strtol(code, NULL, 16);
            text += 2;
        } else *to++ = *text;
    }
    *to = 0;
}
#endif
