/* The lab's stand-in for a native Ballerina program: serves the routes of TABLE until SIGTERM or SIGINT.
 *
 * A stop does what Ballerina's listener does: it closes the listening sockets, sleeps `gracefulStopTimeout` while open
 * connections are still served, then closes every connection.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include "table.h"

enum { LISTENERS = 8, IDLE_S = 60, MAX_LINE = 65536, MAX_BODY = 8 << 20 };
typedef struct { int fd; const char *place; } Listener;
typedef struct { FILE *in; int fd; const char *place; } Connection;
static Listener listeners[LISTENERS];
static int listener_count;

static void say(const char *format, const char *a, const char *b) {
    flockfile(stdout);
    printf(format, a, b);
    putchar('\n');
    fflush(stdout);
    funlockfile(stdout);
}

static void sleep_ms(long ms) {
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&left, &left) && errno == EINTR) {}
}

/* Requests */

static char *line_of(FILE *in) {
    Text line = {0};
    int c;
    while ((c = getc(in)) != EOF && c != '\n' && line.size < MAX_LINE) { char byte = (char)c; add_bytes(&line, &byte, 1); }
    if (c == EOF && !line.size) return NULL;
    if (!line.size) add(&line, "");
    if (line.size && line.at[line.size - 1] == '\r') line.at[--line.size] = 0;
    return line.at;
}

static int add_body(FILE *in, Text *body, long size) {
    if (size < 0 || (long)body->size + size > MAX_BODY) return 0;
    char *part = grown(NULL, (size_t)size + 1);
    int is_whole = fread(part, 1, (size_t)size, in) == (size_t)size;
    add_bytes(body, part, (size_t)size);
    free(part);
    return is_whole;
}

static int read_body(Connection *c, Request *r) {
    Text body = {0};
    add(&body, "");
    const char *expect = get(&r->headers, "Expect"), *length = get(&r->headers, "Content-Length");
    const char *coding = get(&r->headers, "Transfer-Encoding");
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    int is_whole = 1;
    if (expect && !strcasecmp(expect, "100-continue")) is_whole = send(c->fd, go_on, sizeof go_on - 1, MSG_NOSIGNAL) > 0;
    if (coding && strcasestr(coding, "chunked")) {
        for (long size = 1; is_whole && size;) {
            char *line = line_of(c->in);
            is_whole = line && (size = strtol(line, NULL, 16), add_body(c->in, &body, size));
            free(line);
            free(line_of(c->in));
        }
    } else if (length) is_whole = add_body(c->in, &body, atol(length));
    r->body = body.at;
    return is_whole;
}

static void read_query(Request *r, char *query) {
    for (char *pair; (pair = strsep(&query, "&"));) {
        char *name = strsep(&pair, "="), *value = strdup(pair ? pair : "");
        percent_decode(value);
        put(&r->query, strdup(name), value);
    }
}

static int read_request(Connection *c, Request *r, int *is_kept) {
    char *line = line_of(c->in), *rest = line;
    if (!line) return 0;
    char *method = strsep(&rest, " "), *target = strsep(&rest, " "), *protocol = strsep(&rest, " ");
    if (!protocol) { free(line); return 0; }
    char *query = target;
    r->method = strdup(method);
    r->path = strdup(strsep(&query, "?"));
    if (query) read_query(r, query);
    int is_old = !strcmp(protocol, "HTTP/1.0");
    free(line);
    while ((line = line_of(c->in)) && *line) {
        char *colon = strchr(line, ':');
        if (colon) put(&r->headers, copied(line, (size_t)(colon - line)), strdup(space(colon + 1)));
        free(line);
    }
    free(line);
    const char *connection = get(&r->headers, "Connection");
    *is_kept = is_old ? connection && strcasestr(connection, "keep-alive") != NULL : !(connection && strcasestr(connection, "close"));
    return read_body(c, r);
}

/* Answers */

static const char *reason(int status) {
    switch (status) {
    case 200: return "OK"; case 201: return "Created"; case 202: return "Accepted"; case 204: return "No Content";
    case 400: return "Bad Request"; case 404: return "Not Found"; case 405: return "Method Not Allowed";
    case 500: return "Internal Server Error"; case 503: return "Service Unavailable"; default: return "Status";
    }
}

static int matches(const char *pattern, const char *path, Pairs *parameters) {
    char *wanted = strdup(pattern), *given = strdup(path), *w = wanted, *g = given;
    int is_match = 1;
    while (*w == '/') w++;
    while (*g == '/') g++;
    while (is_match && w && g) {
        char *segment = strsep(&w, "/"), *value = strsep(&g, "/");
        if (*segment == '{') {
            segment[strlen(segment) - 1] = 0;
            char *decoded = strdup(value);
            percent_decode(decoded);
            put(parameters, strdup(segment + 1), decoded);
        } else is_match = !strcmp(segment, value);
        if (g && !*g) g = NULL;
    }
    is_match = is_match && !w && !g;
    free(wanted);
    free(given);
    return is_match;
}

static int answer(Connection *c, int status, const char *type, const char *body, int is_kept) {
    Text all = {0};
    size_t size = status == 204 ? 0 : strlen(body);
    add(&all, "HTTP/1.1 "); add_number(&all, status); add(&all, " "); add(&all, reason(status));
    const char *release = getenv("BALBOOK_RELEASE");
    add(&all, "\r\nX-Balbook-Release: "); add(&all, release && *release ? release : fact("version")); add(&all, "\r\nX-Balbook-Packages:");
    for (size_t i = 0; i < record_count; i++)
        if (!strcmp(records[i].field[0], "package")) {
            add(&all, " "); add(&all, records[i].field[1]);
            add(&all, ":"); add(&all, records[i].field[2]);
        }
    add(&all, "\r\nServer: ballerina-lab-stand-in");
    add(&all, "\r\nContent-Type: "); add(&all, type); add(&all, "\r\nContent-Length: "); add_number(&all, (long)size);
    add(&all, is_kept ? "\r\nConnection: keep-alive\r\n\r\n" : "\r\nConnection: close\r\n\r\n");
    add_bytes(&all, body, size);
    size_t sent = 0;
    for (ssize_t n; sent < all.size && (n = send(c->fd, all.at + sent, all.size - sent, MSG_NOSIGNAL)) > 0;) sent += (size_t)n;
    int is_sent = sent == all.size;
    free(all.at);
    return is_sent;
}

static int refuse(Connection *c, Request *r, int status, const char *message, int is_kept) {
    Text body = {0};
    char when[32];
    time_t now = time(NULL);
    struct tm utc;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    add(&body, "{\"timestamp\":\""); add(&body, when); add(&body, "\", \"status\":"); add_number(&body, status);
    add(&body, ", \"reason\":\""); add(&body, reason(status)); add(&body, "\", \"message\":\""); add_escaped(&body, message);
    add(&body, "\", \"path\":\""); add_escaped(&body, r->path);
    add(&body, "\", \"method\":\""); add_escaped(&body, r->method); add(&body, "\"}");
    int is_sent = answer(c, status, "application/json", body.at, is_kept);
    free(body.at);
    return is_sent;
}

/* Whether the payload has what the route requires; else `missing` says what it has not. */
static int is_bound(const char *required, const char *body, Text *missing) {
    Pairs found = {0};
    char *all = strdup(required), *rest = all, *name;
    int is_object = members(body, &found), is_complete = is_object;
    while (is_complete && (name = strsep(&rest, ",")))
        if (*name && !get(&found, name)) {
            add(missing, "data binding failed: required field '"); add(missing, name); add(missing, "' not present in JSON");
            is_complete = 0;
        }
    if (!is_object) add(missing, "data binding failed: not an object");
    free(all);
    empty(&found);
    return is_complete;
}

static int run(Connection *c, Request *r, Record *route, int is_kept) {
    char **f = route->field;
    Text missing = {0};
    if (*f[7] && !is_bound(f[7], r->body, &missing)) {
        int is_sent = refuse(c, r, 400, missing.at, is_kept);
        free(missing.at);
        return is_sent;
    }
    for (int i = 9; i < route->size; i++) {
        char *line = filled(f[i], r);
        say("%s%s", line, "");
        free(line);
    }
    sleep_ms(atol(f[5]));
    char *body = filled(f[8], r);
    int is_sent = answer(c, atoi(f[4]), f[6], body, is_kept);
    free(body);
    return is_sent;
}

static int respond(Connection *c, Request *r, int is_kept) {
    int is_known = 0;
    for (int has_parameters = 0; has_parameters < 2; has_parameters++)
        for (size_t i = 0; i < record_count; i++) {
            char **f = records[i].field;
            if (strcmp(f[0], "route") || strcmp(f[1], c->place) || (strchr(f[3], '{') != NULL) != has_parameters) continue;
            empty(&r->parameters);
            if (!matches(f[3], r->path, &r->parameters)) continue;
            is_known = 1;
            if (!strcmp(f[2], r->method)) return run(c, r, &records[i], is_kept);
        }
    return refuse(c, r, is_known ? 405 : 404, is_known ? "method not allowed" : "no matching resource found", is_kept);
}

static void *serve(void *given) {
    Connection *c = given;
    for (int is_kept = 1, is_sent = 1; is_kept && is_sent;) {
        Request r = {0};
        is_sent = read_request(c, &r, &is_kept) && respond(c, &r, is_kept);
        free(r.method); free(r.path); free(r.body);
        empty(&r.headers); empty(&r.query); empty(&r.parameters);
    }
    fclose(c->in);
    free(c);
    return NULL;
}

/* Listeners */

static void *accept_all(void *given) {
    Listener *listener = given;
    for (;;) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC), on = 1;
        if (fd < 0 && (errno == EINVAL || errno == EBADF)) return NULL;
        if (fd < 0) continue;
        struct timeval idle = {IDLE_S, 0};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof idle);
        Connection *c = grown(NULL, sizeof *c);
        *c = (Connection){fdopen(fd, "r"), fd, listener->place};
        pthread_t thread;
        if (!c->in || pthread_create(&thread, NULL, serve, c)) { close(fd); free(c); continue; }
        pthread_detach(thread);
    }
}

static void open_listener(const char *place) {
    for (int i = 0; i < listener_count; i++) if (!strcmp(listeners[i].place, place)) return;
    if (listener_count == LISTENERS) fail("too many listeners", "");
    const char *text = get(&settings, "ballerina.http.defaultListenerPort");
    if (*place) text = strncmp(place, "config.", 7) ? place : get(&config, place + 7);
    const char *host = get(&settings, "ballerina.http.defaultListenerConfig.host");
    int port = text ? atoi(text) : 9090, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    if (port < 1 || port > 65535) fail("not a port: ", text);
    if (host && !strcmp(host, "localhost")) host = "127.0.0.1";
    inet_pton(AF_INET, host ? host : "0.0.0.0", &at.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 1024)) fail("failed to start server connector: ", strerror(errno));
    char digits[12];
    snprintf(digits, sizeof digits, "%d", port);
    say("listening on %s:%s", host ? host : "0.0.0.0", digits);
    listeners[listener_count++] = (Listener){fd, place};
}

int main(int argc, char **argv) {
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    read_table();
    say("lab stand-in for Ballerina, native: %s %s", fact("application"), fact("version"));
    read_settings(argc, argv);
    bind_config();
    for (size_t i = 0; i < record_count; i++) {
        char **f = records[i].field;
        if (!strcmp(f[0], "exit")) { fprintf(stderr, "error: %s\n", f[2]); return atoi(f[1]); }
        if (!strcmp(f[0], "print")) say("%s%s", f[1], "");
    }
    for (size_t i = 0; i < record_count; i++) if (!strcmp(records[i].field[0], "route")) open_listener(records[i].field[1]);
    if (!listener_count) return 0;
    for (int i = 0; i < listener_count; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, accept_all, &listeners[i])) fail("no thread for a listener", "");
    }
    int which;
    sigwait(&ends, &which);
    const char *grace = get(&settings, "ballerina.http.defaultListenerConfig.gracefulStopTimeout");
    for (int i = 0; i < listener_count; i++) { shutdown(listeners[i].fd, SHUT_RDWR); close(listeners[i].fd); }
    say("stopping: no new connections; closing the open ones in %s s%s", grace ? grace : "0", "");
    sleep_ms(grace ? (long)(atof(grace) * 1000) : 0);
    _exit(128 + which);
}
