/* The routes of the program, its settings, and the texts that requests fill; the counterpart of Table.java. */
#ifndef TABLE_H
#define TABLE_H
#include <strings.h>
#include <time.h>
#include <unistd.h>
#include "text.h"

extern const char TABLE[];
enum { FIELDS = 32, SEGMENTS = 32 };

typedef struct { char *field[FIELDS]; int size; } Record;
typedef struct { char *method, *path, *body; Pairs headers, query, parameters; } Request;

static Record *records;
static size_t record_count;
static Pairs settings, config;

static void fail(const char *what, const char *about) {
    fprintf(stderr, "error: %s%s\n", what, about);
    exit(1);
}

static void read_table(void) {
    for (const char *line = TABLE; *line;) {
        const char *end = strchr(line, '\n');
        records = grown(records, (record_count + 1) * sizeof(Record));
        Record *record = &records[record_count++];
        record->size = 0;
        for (const char *at = line; at <= end && record->size < FIELDS;) {
            const char *tab = memchr(at, '\t', (size_t)(end - at));
            const char *stop = tab ? tab : end;
            char *field = copied(at, (size_t)(stop - at));
            unescape(field);
            record->field[record->size++] = field;
            at = stop + 1;
        }
        line = end + 1;
    }
}

static const char *fact(const char *kind) {
    for (size_t i = 0; i < record_count; i++)
        if (!strcmp(records[i].field[0], kind)) return records[i].field[1];
    return "";
}

/* Settings: -Cname=value, then BAL_CONFIG_FILES, BAL_CONFIG_DATA or Config.toml; the first that has a name wins. */

static char *without(const char *from, size_t size, const char *chars) {
    Text text = {0};
    add(&text, "");
    for (size_t i = 0; i < size; i++)
        if (!strchr(chars, from[i])) add_bytes(&text, from + i, 1);
    return text.at;
}

static char *toml_value(char *at) {
    while (isspace((unsigned char)*at)) at++;
    char quote = *at == '"' || *at == '\'' ? *at : 0, *end = at + (quote != 0);
    while (*end && (quote ? *end != quote : *end != '#' && *end != '\r')) end += quote == '"' && *end == '\\' && end[1] ? 2 : 1;
    char *value = copied(at + (quote != 0), (size_t)(end - at) - (quote != 0));
    if (quote == '"') unescape(value);
    for (size_t size = strlen(value); !quote && size && isspace((unsigned char)value[size - 1]);) value[--size] = 0;
    return value;
}

static void read_toml(char *text) {
    char *table = copied("", 0), *rest = text, *line;
    while ((line = strsep(&rest, "\n"))) {
        while (isspace((unsigned char)*line)) line++;
        char *equals = strchr(line, '='), *bracket = strrchr(line, ']');
        if (*line == '[' && bracket) {
            free(table);
            table = without(line, (size_t)(bracket - line), "[]\"' ");
        } else if (*line && *line != '#' && equals) {
            char *name = without(line, (size_t)(equals - line), "\"' \t");
            Text full = {0};
            add(&full, table);
            if (*table) add(&full, ".");
            add(&full, name);
            free(name);
            put(&settings, full.at, toml_value(equals + 1));
        }
    }
    free(table);
}

static int read_file(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    Text text = {0};
    char block[4096];
    add(&text, "");
    for (size_t size; (size = fread(block, 1, sizeof block, file)) > 0;) add_bytes(&text, block, size);
    fclose(file);
    read_toml(text.at);
    free(text.at);
    return 1;
}

static void read_settings(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (!strncmp(argv[i], "-C", 2) && equals) put(&settings, copied(argv[i] + 2, (size_t)(equals - argv[i]) - 2), strdup(equals + 1));
    }
    const char *files = getenv("BAL_CONFIG_FILES"), *data = getenv("BAL_CONFIG_DATA");
    if (files && *files) {
        char *all = strdup(files), *rest = all, *path;
        while ((path = strsep(&rest, ":")))
            if (!read_file(path)) fail("configuration file is not found in path ", path);
        free(all);
    } else if (data && *data) {
        char *text = strdup(data);
        read_toml(text);
        free(text);
    } else read_file("Config.toml");
}

static void bind_config(void) {
    for (size_t i = 0; i < record_count; i++) {
        char **f = records[i].field;
        if (strcmp(f[0], "config")) continue;
        const char *value = get(&settings, f[1]);
        if (!value && !strcmp(f[2], "required")) fail("value not provided for required configurable variable ", strrchr(f[1], '.') + 1);
        put(&config, strdup(f[1]), strdup(value ? value : f[3]));
    }
}

/* The members of a JSON object, each as the text that stands there; 0 where the text is no object. */

static const char *space(const char *at) { while (isspace((unsigned char)*at)) at++; return at; }

static const char *end_of_value(const char *at) {
    const char *start = at;
    for (int depth = 0, is_text = 0; *at; at++) {
        if (is_text) {
            if (*at == '\\' && at[1]) at++;
            else if (*at == '"' && (is_text = 0, !depth)) return at + 1;
        } else if (*at == '"') is_text = 1;
        else if (*at == '{' || *at == '[') depth++;
        else if (depth && (*at == '}' || *at == ']')) { if (!--depth) return at + 1; }
        else if (!depth && (strchr(",}]:", *at) || isspace((unsigned char)*at))) return at == start ? NULL : at;
    }
    return NULL;
}

static int members(const char *at, Pairs *found) {
    at = space(at);
    if (*at != '{') return 0;
    at = space(at + 1);
    while (*at != '}') {
        const char *name = at + 1, *end = *at == '"' ? end_of_value(at) : NULL;
        if (!end) return 0;
        size_t size = (size_t)(end - name) - 1;
        at = space(end);
        if (*at != ':') return 0;
        at = space(at + 1);
        if (!(end = end_of_value(at))) return 0;
        put(found, copied(name, size), copied(at, (size_t)(end - at)));
        at = space(end);
        if (*at == ',') { at = space(at + 1); if (*at != '"') return 0; }
        else if (*at != '}') return 0;
    }
    return *space(at + 1) == 0;
}

/* Texts with holes. */

static void add_uuid(Text *text) {
    unsigned char r[16];
    FILE *random = fopen("/dev/urandom", "r");
    if (!random || fread(r, 1, sizeof r, random) != sizeof r) abort();
    fclose(random);
    r[6] = (r[6] & 15) | 64;
    r[8] = (r[8] & 63) | 128;
    for (int i = 0; i < 16; i++) {
        char hex[4];
        snprintf(hex, sizeof hex, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", r[i]);
        add(text, hex);
    }
}

static void add_value(Text *text, const char *name, Request *r) {
    Pairs found = {0};
    const char *value = "", *dot = strchr(name, '.');
    if (!strcmp(name, "uuid")) { add_uuid(text); return; }
    if (!strcmp(name, "members") && r) {
        const char *open = strchr(r->body, '{'), *close = strrchr(r->body, '}');
        if (open && close) add_bytes(text, open + 1, (size_t)(close - open) - 1);
        return;
    }
    if (!strncmp(name, "config.", 7)) value = get(&config, name + 7);
    else if (!r) value = "";
    else if (!strncmp(name, "path.", 5)) value = get(&r->parameters, name + 5);
    else if (!strncmp(name, "query.", 6)) value = get(&r->query, name + 6);
    else if (!strncmp(name, "header.", 7)) value = get(&r->headers, name + 7);
    else if (!strcmp(name, "request.method")) value = r->method;
    else if (!strcmp(name, "request.path")) value = r->path;
    else if (!strcmp(name, "payload")) value = r->body;
    else if (!strncmp(name, "payload.", 8)) { members(r->body, &found); value = get(&found, dot + 1); if (!value) value = "null"; }
    if (value) add(text, value);
    empty(&found);
}

static char *filled(const char *pattern, Request *request) {
    Text text = {0};
    add(&text, "");
    for (const char *at = pattern; *at;) {
        const char *end = !strncmp(at, "{{", 2) && isalpha((unsigned char)at[2]) ? strstr(at, "}}") : NULL;
        if (!end) { add_bytes(&text, at++, 1); continue; }
        int is_text = !strncmp(at + 2, "text:", 5), is_plain = !strncmp(at + 2, "plain:", 6);
        const char *from = at + 2 + (is_text ? 5 : is_plain ? 6 : 0);
        char *name = copied(from, (size_t)(end - from));
        Text value = {0};
        add(&value, "");
        add_value(&value, name, request);
        if ((is_text || is_plain) && !strncmp(name, "payload.", 8) && value.size > 1 && *value.at == '"') {
            value.at[value.size - 1] = 0;
            memmove(value.at, value.at + 1, value.size - 1);
            unescape(value.at);
        }
        if (is_text) add_escaped(&text, value.at); else add(&text, value.at);
        free(name);
        free(value.at);
        at = end + 2;
    }
    return text.at;
}
#endif
