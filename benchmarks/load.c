/*
 * The load generator: many WebSocket clients in one thread, and what they saw of the server.
 *
 *   load PORT MODE [name=value ...]          prints one JSON object
 *
 * MODE   hold    clients connect, sit there, leave            -> CPU per connect, per leave; memory per client
 *        cast    one event to everybody, again and again      -> CPU per delivery, time until it arrived
 *        ask     events with an ack, one after the other      -> CPU per round trip, its time
 *        behind  one event with an ack behind a broadcast     -> its time
 *        tick    the server pushes by itself                  -> time from the push to its arrival
 *
 * It speaks just enough WebSocket, HTTP, Engine.IO and Socket.IO to count: headers are read, payloads are skipped.  Masks
 * are zeros.  It does not wait for time but for answers: the next event goes out when the one before has reached
 * everybody, so that a slow reader never looks like a fast server.
 *
 * The server's CPU time is read from the kernel's CPU clocks of its process and all of its children (nanoseconds, with
 * threads that have ended), at both ends of the measured window.  Our own CPU time is printed beside it ("load_cpu"):
 * where it comes near "seconds", the load was the limit, and neither rates nor latencies say anything of the server.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* --- what the command line says ----------------------------------------------------------------------------------- */

static struct {
    int port;
    const char *mode;
    const char *dialect; /* sio: Socket.IO | raw: texts without a protocol | nchan: events are published by HTTP */
    const char *transport; /* websocket | polling: on what Socket.IO clients come */
    const char *head;    /* minimal | browser: how much a client says of itself */
    const char *kind;    /* which payload the server sends */
    const char *event;   /* the event that `ask` sends */
    const char *path;    /* where raw and nchan clients connect */
    const char *body;    /* nchan: the file that is published */
    int pid;             /* the server's */
    int clients, warm, wave, inflight, burst, rooms;
    int old;             /* every so many-th client is of Engine.IO 3; 0: all are of Engine.IO 4 */
    int deflate;         /* whether clients offer permessage-deflate */
    int least, most, settle;            /* rounds that are measured, at least and at most; and unmeasured ones before */
    int burners, nappers, interval;     /* handlers that compute or sleep (tick, ask); microseconds between pushes (tick) */
    double seconds, timeout, idle;
} arg = {.dialect = "sio", .transport = "websocket", .head = "minimal", .kind = "100", .event = "ask", .path = "/", .clients = 100,
         .wave = 50, .inflight = 1, .burst = 1, .least = 5, .most = 1000000, .settle = 3, .interval = 20000, .seconds = 1,
         .timeout = 60, .idle = 1};

static const struct { const char *name; int *number; double *real; const char **text; } NAMES[] = {
    {"dialect", 0, 0, &arg.dialect}, {"transport", 0, 0, &arg.transport}, {"head", 0, 0, &arg.head},
    {"kind", 0, 0, &arg.kind}, {"old", &arg.old, 0, 0}, {"deflate", &arg.deflate, 0, 0}, {"event", 0, 0, &arg.event}, {"path", 0, 0, &arg.path}, {"body", 0, 0, &arg.body},
    {"pid", &arg.pid, 0, 0}, {"clients", &arg.clients, 0, 0}, {"warm", &arg.warm, 0, 0}, {"wave", &arg.wave, 0, 0},
    {"inflight", &arg.inflight, 0, 0}, {"burst", &arg.burst, 0, 0}, {"rooms", &arg.rooms, 0, 0},
    {"least", &arg.least, 0, 0}, {"most", &arg.most, 0, 0}, {"settle", &arg.settle, 0, 0},
    {"burners", &arg.burners, 0, 0}, {"nappers", &arg.nappers, 0, 0}, {"interval", &arg.interval, 0, 0},
    {"seconds", 0, &arg.seconds, 0}, {"timeout", 0, &arg.timeout, 0}, {"idle", 0, &arg.idle, 0},
};

static void fail(const char *what) {
    printf("{\"error\":\"%s\"}\n", what);
    exit(1);
}

static void read_arguments(int count, char **words) {
    if (count < 3) fail("load PORT MODE [name=value ...]");
    arg.port = atoi(words[1]);
    arg.mode = words[2];
    for (int i = 3; i < count; i++) {
        char *value = strchr(words[i], '=');
        size_t k = 0, known = sizeof NAMES / sizeof *NAMES;
        if (!value) fail("an argument is not name=value");
        *value++ = 0;
        while (k < known && strcmp(NAMES[k].name, words[i])) k++;
        if (k == known) fail("an argument has an unknown name");
        if (NAMES[k].number) *NAMES[k].number = atoi(value);
        else if (NAMES[k].real) *NAMES[k].real = atof(value);
        else *NAMES[k].text = value;
    }
}

/* --- clocks, memory ----------------------------------------------------------------------------------------------- */

static int64_t clock_us(clockid_t which) {
    struct timespec t;
    if (clock_gettime(which, &t)) return 0;
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static int64_t now(void) { return clock_us(CLOCK_MONOTONIC); }

static int tree[256], tree_size;

static int parent_of(int pid) {
    char path[64], line[512], *end;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file) return -1;
    size_t size = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[size] = 0;
    end = strrchr(line, ')');
    return end ? atoi(end + 4) : -1;
}

/* The server's process and all that descend from it. */
static void find_tree(void) {
    tree_size = 0;
    if (!arg.pid) return;
    tree[tree_size++] = arg.pid;
    for (int grown = 1; grown;) {
        grown = 0;
        DIR *proc = opendir("/proc");
        for (struct dirent *entry; (entry = readdir(proc));) {
            int pid = atoi(entry->d_name), parent, known = pid <= 0, child = 0;
            if (known) continue;
            parent = parent_of(pid);
            for (int i = 0; i < tree_size; i++) known |= tree[i] == pid, child |= tree[i] == parent;
            if (child && !known && tree_size < 256) tree[tree_size++] = pid, grown = 1;
        }
        closedir(proc);
    }
}

static int64_t server_cpu(void) {
    int64_t sum = 0;
    for (int i = 0; i < tree_size; i++) {
        clockid_t which;
        if (clock_getcpuclockid(tree[i], &which) == 0) sum += clock_us(which);
    }
    return sum;
}

static long server_kib(void) {
    long sum = 0;
    for (int i = 0; i < tree_size; i++) {
        char path[64];
        long all, resident = 0;
        snprintf(path, sizeof path, "/proc/%d/statm", tree[i]);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        if (fscanf(file, "%ld %ld", &all, &resident) == 2) sum += resident * (sysconf(_SC_PAGESIZE) / 1024);
        fclose(file);
    }
    return sum;
}

/* What was spent between two moments. */
struct window { int64_t wall, server, load, bytes; };

static int64_t received;

static struct window open_window(void) {
    return (struct window){now(), server_cpu(), clock_us(CLOCK_PROCESS_CPUTIME_ID), received};
}

static struct window close_window(struct window from) {
    struct window to = open_window();
    return (struct window){to.wall - from.wall, to.server - from.server, to.load - from.load, to.bytes - from.bytes};
}

static void print_window(struct window w) {
    printf("\"seconds\":%.6f,\"server_cpu\":%.6f,\"load_cpu\":%.6f,\"received\":%lld", w.wall / 1e6, w.server / 1e6,
           w.load / 1e6, (long long)w.bytes);
}

/* --- times, counted in buckets of 3 % ----------------------------------------------------------------------------- */

struct times { uint64_t count[64 * 32], all; int64_t longest; };

static void add_time(struct times *times, int64_t us) {
    if (us < 0) us = 0;
    if (us > times->longest) times->longest = us;
    uint64_t value = (uint64_t)us;
    int shift = value < 64 ? 0 : 58 - __builtin_clzll(value);
    times->count[shift * 32 + (value >> shift)]++;
    times->all++;
}

static int64_t quantile(const struct times *times, double part) {
    uint64_t seen = 0, wanted = (uint64_t)(part * times->all);
    for (int i = 0; i < 64 * 32; i++) {
        seen += times->count[i];
        if (seen > wanted) {
            int shift = i < 64 ? 0 : i / 32 - 1;
            int64_t top = ((int64_t)(i - shift * 32 + 1) << shift) - 1;
            return top < times->longest ? top : times->longest;
        }
    }
    return times->longest;
}

static void print_times(const char *name, const struct times *times) {
    printf(",\"%s\":{\"count\":%llu,\"p50\":%lld,\"p99\":%lld,\"max\":%lld}", name, (unsigned long long)times->all,
           (long long)quantile(times, 0.5), (long long)quantile(times, 0.99), (long long)times->longest);
}

/* --- clients ------------------------------------------------------------------------------------------------------ */

enum state { UNUSED, CONNECTING, HTTP, JOINING, READY, LEAVING, GONE };
#define PEEK 96 /* bytes of a payload that we look at */

/* One of the two HTTP connections of a long-polling client: one waits for events, the other brings them. */
struct line {
    struct client *client;
    int fd, connected, busy;                  /* busy: an answer is on its way */
    enum { HEAD, BODY, SIZE, REST } part;     /* what of the answer comes next; SIZE and REST surround a chunk */
    char text[80];                            /* the line of the head that is being read */
    int length, status, chunked, closes;
    int64_t left;                             /* bytes of the body, or of a chunk, still to come */
};

struct client {
    int fd, index, old, greeted;
    struct line lines[2];                     /* long-polling: GET, POST */
    char sid[64], outgoing[512];              /* and what waits for the next POST */
    enum state state;
    unsigned char head[16 + PEEK]; /* of a frame that came in pieces */
    int have, matched;             /* bytes in head; bytes seen of the empty line that ends the HTTP head */
    uint64_t skip;                 /* bytes of the payload still to come */
    uint64_t events;
    int64_t sent[64];              /* when an ack was asked for, by its id */
    uint32_t asked;
};

static struct client *clients;
static int total, epoll, ready, gone, lost;
static uint64_t events, acks;
static int64_t cast_at;
static int polling, asking, counting; /* whether acks are followed by the next event; whether times are taken */
static struct times arrival, late, round_trip;

static void send_all(struct client *c, const void *data, size_t size) {
    if (send(c->fd, data, size, MSG_NOSIGNAL) != (ssize_t)size && c->state < LEAVING) lost++;
}

static void send_frame(struct client *c, int opcode, const char *text, size_t size) {
    unsigned char frame[256] = {0x80 | opcode, 0x80 | size};
    if (size > 125) fail("the load sends short frames only");
    memcpy(frame + 6, text, size);
    send_all(c, frame, 6 + size);
}

static void post(struct client *c, const char *text);

static void send_text(struct client *c, const char *text) {
    if (polling) post(c, text);
    else send_frame(c, 1, text, strlen(text));
}

static void ask(struct client *c) {
    char text[100];
    uint32_t id = c->asked++;
    if (!strcmp(arg.dialect, "raw")) snprintf(text, sizeof text, "ask hello, %u", id);
    else snprintf(text, sizeof text, "42%u[\"%s\",\"hello\"]", id, arg.event);
    c->sent[id % 64] = now();
    send_text(c, text);
}

/* A connection that is being made; `owner` hears of it. */
static int start_connection(void *owner) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(arg.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0) fail("no more sockets: raise the limit of open files");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) fail("connect() failed");
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = owner};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    return fd;
}

static void want_input(int fd, void *owner) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = owner};
    epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
}

static void request(struct line *line);

static void start_client(struct client *c) {
    int index = (int)(c - clients);
    memset(c, 0, sizeof *c);
    c->index = index;
    c->old = arg.old && index % arg.old == arg.old - 1;
    c->state = CONNECTING;
    if (!polling) {
        c->fd = start_connection(c);
        return;
    }
    for (int i = 0; i < 2; i++) c->lines[i] = (struct line){.client = c, .fd = -1};
    request(&c->lines[0]);
}

/* What Chromium says of itself, and 300 bytes of cookies. */
static const char BROWSER[] =
    "Pragma: no-cache\r\nCache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 "
    "(KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\r\nOrigin: http://127.0.0.1:%d\r\nAccept-Encoding: gzip, "
    "deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8,zh-CN;q=0.7\r\nCookie: session=%0300d\r\n";

static void send_head(struct client *c) {
    char head[2048], more[1024] = "";
    const char *path = strcmp(arg.dialect, "sio") ? arg.path : c->old ? "/socket.io/?EIO=3&transport=websocket"
                                                                     : "/socket.io/?EIO=4&transport=websocket";
    const char *offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    if (!strcmp(arg.head, "browser")) snprintf(more, sizeof more, BROWSER, arg.port, c->index);
    int size = snprintf(head, sizeof head,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade\r\n%sUpgrade: websocket\r\n%s"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        path, arg.port, more, arg.deflate ? offer : "");
    send_all(c, head, size);
    c->state = HTTP;
    want_input(c->fd, c);
}

static void drop(struct client *c) {
    if (c->state == READY || c->state < READY) lost++;
    if (c->state == READY) ready--;
    if (!polling) close(c->fd);
    for (int i = 0; i < 2 && polling; i++) close(c->lines[i].fd);
    c->state = GONE;
    gone++;
}

static void become_ready(struct client *c) {
    c->state = READY;
    ready++;
}

static int64_t number_after(const char *text, const char *name) {
    const char *found = strstr(text, name);
    if (!found) return 0;
    found += strlen(name);
    while (*found == ':' || *found == ' ' || *found == '"') found++;
    return atoll(found);
}

static void take_event(struct client *c, const char *text) {
    events++;
    c->events++;
    if (!counting) return;
    int64_t at = now();
    if (cast_at) {
        add_time(&arrival, at - cast_at);
        return;
    }
    int64_t pushed = number_after(text, "\"t\""), due = number_after(text, "\"d\"");
    if (pushed) add_time(&arrival, at - pushed);
    if (due) add_time(&late, at - due);
}

static void take_ack(struct client *c, uint32_t id) {
    acks++;
    if (counting) add_time(&round_trip, now() - c->sent[id % 64]);
    if (asking) ask(c);
}

static void keep_sid(struct client *c, const char *text) {
    const char *from = strstr(text, "\"sid\":\"");
    if (!from || sscanf(from + 7, "%63[^\"]", c->sid) != 1) fail("there is no sid where it was looked for");
}

/* `text` is the beginning of the payload, with a zero behind it. */
static void take_frame(struct client *c, int opcode, const char *text, uint64_t size) {
    int raw = strcmp(arg.dialect, "sio");
    if (opcode == 8) {
        drop(c);
    } else if (opcode == 9) {
        send_frame(c, 10, text, size);
    } else if (opcode == 2) {
        take_event(c, text);
    } else if (raw) {
        if (!strncmp(text, "ask ", 4)) take_ack(c, (uint32_t)atoi(text + 11));
        else take_event(c, text);
    } else if (text[0] == '2') {
        send_text(c, "3");
    } else if (text[0] == '0') {
        c->greeted = 1;
        if (polling) keep_sid(c, text);
        if (!c->old) send_text(c, "40"); /* a client of Engine.IO 3 is let in without asking */
    } else if (text[0] == '4' && text[1] == '0') {
        become_ready(c);
    } else if (text[0] == '4' && text[1] == '2') {
        take_event(c, text);
    } else if (text[0] == '4' && text[1] == '3') {
        take_ack(c, (uint32_t)atoi(text + 2));
    }
}

/* What is compressed cannot be read here, and need not be: it is what is due. */
static void take_compressed(struct client *c) {
    if (c->state == READY) take_event(c, "");
    else if (c->greeted) become_ready(c);
    else c->greeted = 1, send_text(c, "40");
}

/* The length of a frame's header, or 0 while more of it must come. */
static int frame_header(const unsigned char *at, size_t size, uint64_t *length) {
    if (size < 2) return 0;
    *length = at[1] & 127;
    if (*length < 126) return 2;
    int bytes = *length == 126 ? 2 : 8;
    if (size < (size_t)(2 + bytes)) return 0;
    *length = 0;
    for (int i = 0; i < bytes; i++) *length = *length << 8 | at[2 + i];
    return 2 + bytes;
}

static void take_frames(struct client *c, unsigned char *at, size_t size) {
    while (size && c->state != GONE) {
        if (c->skip) {
            size_t part = c->skip < size ? c->skip : size;
            c->skip -= part, at += part, size -= part;
            continue;
        }
        unsigned char *from = at;
        size_t known = size;
        if (c->have) { /* go on with a frame that began in an earlier chunk */
            size_t part = sizeof c->head - 1 - c->have;
            if (part > size) part = size;
            memcpy(c->head + c->have, at, part);
            from = c->head;
            known = c->have + part;
        }
        uint64_t length = 0;
        int header = frame_header(from, known, &length);
        size_t needed = header + (length < PEEK ? length : PEEK);
        if (!header || known < needed) { /* the rest of it comes later */
            if (from == at) memcpy(c->head, at, size);
            c->have = (int)known;
            return;
        }
        char text[PEEK + 1];
        memcpy(text, from + header, needed - header);
        text[needed - header] = 0;
        size_t used = needed - c->have;
        c->have = 0;
        c->skip = length - (needed - header);
        at += used, size -= used;
        if (from[0] & 0x40) take_compressed(c);
        else take_frame(c, from[0] & 15, text, needed - header);
    }
}

static void take_http(struct client *c, unsigned char *at, size_t size) {
    static const char END[] = "\r\n\r\n";
    while (size && c->matched < 4) {
        if (c->have < 12) c->head[c->have++] = *at;
        c->matched = *at == END[c->matched] ? c->matched + 1 : *at == '\r';
        at++, size--;
    }
    if (c->matched < 4) return;
    if (memcmp(c->head + 9, "101", 3)) {
        fprintf(stderr, "refused: %.12s\n", c->head);
        drop(c);
        return;
    }
    c->have = 0;
    if (strcmp(arg.dialect, "sio")) become_ready(c);
    else c->state = JOINING;
    take_frames(c, at, size);
}

static void read_client(struct client *c) {
    static unsigned char chunk[1 << 18];
    ssize_t size = recv(c->fd, chunk, sizeof chunk, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size > 0) received += size;
    if (size <= 0) drop(c);
    else if (c->state == HTTP) take_http(c, chunk, size);
    else take_frames(c, chunk, size);
}

/* --- long-polling ------------------------------------------------------------------------------------------------- */

/* The next request of a line; one that is closed is opened first, and one that is busy does it behind its answer. */
static void request(struct line *line) {
    struct client *c = line->client;
    char text[1024];
    int size, posts = line == &c->lines[1];
    if (line->fd < 0) line->fd = start_connection(line);
    if (!line->connected || line->busy || (posts && !*c->outgoing)) return;
    const char *which = *c->sid ? "&sid=" : "";
    size = snprintf(text, sizeof text, "%s /socket.io/?EIO=4&transport=polling%s%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n",
                    posts ? "POST" : "GET", which, c->sid, arg.port);
    if (posts)
        size += snprintf(text + size, sizeof text - size,
                         "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %zu\r\n\r\n%s",
                         strlen(c->outgoing), c->outgoing);
    else size += snprintf(text + size, sizeof text - size, "\r\n");
    if (posts) *c->outgoing = 0;
    if (send(line->fd, text, size, MSG_NOSIGNAL) != size) lost++;
    line->busy = 1;
    line->part = HEAD;
    line->length = line->status = line->chunked = line->closes = 0;
    line->left = 0;
}

static void post(struct client *c, const char *text) {
    size_t have = strlen(c->outgoing);
    if (have + strlen(text) + 2 > sizeof c->outgoing) fail("the load asks for more than it may keep for a POST");
    sprintf(c->outgoing + have, "%s%s", have ? "\x1e" : "", text);
    request(&c->lines[1]);
}

static void close_line(struct line *line) {
    close(line->fd);
    line->fd = -1;
    line->connected = line->busy = 0;
}

static void end_packet(struct client *c) {
    int size = c->have;
    c->have = 0;
    c->head[size] = 0;
    if (size) take_frame(c, 1, (char *)c->head, (uint64_t)size);
}

static void end_answer(struct line *line) {
    struct client *c = line->client;
    line->busy = 0;
    if (line->status != 200) {
        fprintf(stderr, "refused: %d\n", line->status);
        drop(c);
        return;
    }
    if (line->closes) close_line(line);
    if (line == c->lines) {
        end_packet(c);
        request(line);
    } else if (*c->outgoing) {
        request(line);
    }
}

/* A line of the head, or of those between the chunks of a body. */
static void take_line(struct line *line) {
    char *text = line->text;
    text[line->length] = 0;
    if (line->part == SIZE) {
        line->left = strtol(text, 0, 16);
        line->part = line->left ? BODY : REST;
    } else if (line->part == REST) { /* behind a chunk, or behind the last one */
        if (line->left < 0) line->part = SIZE;
        else end_answer(line);
    } else if (!line->length) {
        line->part = line->chunked ? SIZE : BODY;
        if (line->part == BODY && !line->left) end_answer(line);
    } else if (!line->status) {
        line->status = atoi(text + 9);
        line->closes = !strncmp(text, "HTTP/1.0", 8);
    } else if (!strncasecmp(text, "content-length:", 15)) {
        line->left = atol(text + 15);
    } else if (!strncasecmp(text, "transfer-encoding:", 18)) {
        line->chunked = 1;
    } else if (!strncasecmp(text, "connection:", 11)) {
        line->closes = strcasestr(text, "close") != 0;
    }
    line->length = 0;
}

static void take_body(struct line *line, char byte) {
    struct client *c = line->client;
    if (line == c->lines) { /* what answers a POST says nothing */
        if (byte == 0x1e) end_packet(c);
        else if (c->have < PEEK) c->head[c->have++] = (unsigned char)byte;
    }
    if (--line->left) return;
    if (!line->chunked) end_answer(line);
    else line->part = REST, line->left = -1;
}

static void serve_line(struct line *line) {
    static char chunk[1 << 16];
    if (line->fd < 0 || line->client->state == GONE) return;
    if (!line->connected) {
        line->connected = 1;
        want_input(line->fd, line);
        request(line);
        return;
    }
    ssize_t size = recv(line->fd, chunk, sizeof chunk, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0 && line->busy) drop(line->client);
    else if (size <= 0) close_line(line); /* it was idle for too long: the next request opens another */
    else received += size;
    for (ssize_t i = 0; i < size && line->busy; i++) {
        if (line->part == BODY) take_body(line, chunk[i]);
        else if (chunk[i] == '\n') take_line(line);
        else if (chunk[i] != '\r' && line->length < (int)sizeof line->text - 1) line->text[line->length++] = chunk[i];
    }
}

/* One turn: what has come is read, at most `milliseconds` are waited for it. */
static void turn(int milliseconds) {
    struct epoll_event found[1024];
    int count = epoll_wait(epoll, found, 1024, milliseconds);
    for (int i = 0; i < count; i++) {
        struct client *c = found[i].data.ptr;
        if (polling) serve_line(found[i].data.ptr);
        else if (c->state == CONNECTING) send_head(c);
        else if (c->state != GONE) read_client(c);
    }
}

static void wait_for(const uint64_t *counter, uint64_t wanted, const char *what) {
    int64_t end = now() + (int64_t)(arg.timeout * 1e6);
    while (*counter < wanted) {
        turn(100);
        if (now() > end || lost > 0) fail(what);
    }
}

static void wait_seconds(double seconds) {
    int64_t end = now() + (int64_t)(seconds * 1e6);
    while (now() < end) turn(10);
}

/* Clients number `from` up to `to` connect, `wave` at a time. */
static void connect_clients(int from, int to) {
    int64_t end = now() + (int64_t)(arg.timeout * 1e6);
    int started = from;
    while (ready < to) {
        while (started < to && started - ready < arg.wave) start_client(&clients[started++]);
        turn(100);
        if (lost) fail("a client was refused, or lost its connection");
        if (now() > end) fail("not all clients could connect in time");
    }
}

static void disconnect_clients(int from, int to) {
    int64_t end = now() + 5000000;
    int started = from, first = gone;
    while (gone - first < to - from && now() < end) {
        for (; started < to && started - from - (gone - first) < arg.wave; started++) {
            send_frame(&clients[started], 8, "\x03\xe8", 2);
            clients[started].state = LEAVING;
            ready--;
        }
        turn(20);
    }
}

/* --- publishing by HTTP (nchan) ----------------------------------------------------------------------------------- */

static char publication[1 << 16];
static int publication_size, publisher = -1;

static void open_publisher(void) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(arg.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    static char text[1 << 15];
    FILE *file = fopen(arg.body ? arg.body : "", "r");
    if (!file) fail("nchan needs body=FILE");
    int size = (int)fread(text, 1, sizeof text, file);
    fclose(file);
    publication_size = snprintf(publication, sizeof publication,
        "POST /pub HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%.*s", size, size, text);
    publisher = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(publisher, (struct sockaddr *)&to, sizeof to)) fail("no connection to publish by");
}

static void publish(void) {
    static char answer[4096];
    while (recv(publisher, answer, sizeof answer, MSG_DONTWAIT) > 0) {}
    if (send(publisher, publication, publication_size, MSG_NOSIGNAL) != publication_size) fail("publishing failed");
}

/* --- the modes ---------------------------------------------------------------------------------------------------- */

static void hold(void) {
    connect_clients(0, arg.warm);
    wait_seconds(arg.warm ? arg.idle : 0);
    find_tree();
    long kib = server_kib();
    struct window joined = open_window();
    connect_clients(arg.warm, total);
    joined = close_window(joined);
    wait_seconds(arg.idle);
    kib = server_kib() - kib;
    struct window idle = open_window();
    wait_seconds(arg.idle);
    idle = close_window(idle);
    struct window left = open_window();
    disconnect_clients(arg.warm, total);
    left = close_window(left);
    printf("{\"clients\":%d,\"kib\":%ld,\"left\":%d,\"connect\":{", arg.clients, kib, gone);
    print_window(joined);
    printf("},\"idle\":{");
    print_window(idle);
    printf("},\"disconnect\":{");
    print_window(left);
    printf("}}\n");
}

/* One event for everybody, or for a room; `number` chooses who asks for it, or the room. */
static void send_cast(int number) {
    char text[120];
    if (publisher >= 0) {
        for (int i = 0; i < arg.burst; i++) publish();
        return;
    }
    if (!strcmp(arg.dialect, "raw")) snprintf(text, sizeof text, "cast %s %d", arg.kind, arg.burst);
    else if (arg.rooms) snprintf(text, sizeof text, "42[\"room\",\"r%d\",\"%s\"]", number % arg.rooms, arg.kind);
    else snprintf(text, sizeof text, "42[\"cast\",\"%s\",%d]", arg.kind, arg.burst);
    send_text(&clients[arg.rooms ? number % total : 0], text);
}

static void enter_rooms(void) {
    for (int i = 0; i < total; i++) {
        char text[100];
        snprintf(text, sizeof text, "42%d[\"enter\",\"r%d\"]", i, i % arg.rooms);
        send_text(&clients[i], text);
        if (i % 100 == 99 || i == total - 1) wait_for(&acks, i + 1, "not everybody could enter a room");
    }
}

static void cast(void) {
    connect_clients(0, total);
    if (!strcmp(arg.dialect, "nchan")) open_publisher();
    if (arg.rooms) enter_rooms();
    find_tree();
    wait_seconds(0.2);
    uint64_t each = (uint64_t)(arg.rooms ? total / arg.rooms : total) * arg.burst, expected = events;
    struct times last = {.longest = 0};
    struct window spent = open_window();
    int rounds = 0;
    int64_t end = 0;
    for (int i = -arg.settle; i < arg.most; i++) {
        if (i == 0) {
            spent = open_window();
            end = now() + (int64_t)(arg.seconds * 1e6);
            counting = 1;
        }
        if (i >= arg.least && now() > end) break;
        cast_at = now();
        send_cast(i + arg.settle);
        wait_for(&events, expected += each, "not everybody got an event in time");
        if (i >= 0) add_time(&last, now() - cast_at), rounds++;
    }
    spent = close_window(spent);
    wait_seconds(0.1);
    if (events != expected) fail("somebody got an event twice");
    printf("{\"clients\":%d,\"deliveries\":%llu,", total, (unsigned long long)(each * rounds));
    print_window(spent);
    print_times("arrival", &arrival);
    print_times("last", &last);
    printf("}\n");
}

/* Some of the clients, the last ones, have handlers that compute or sleep for `seconds`. */
static void keep_busy(void) {
    char text[100];
    for (int i = 0; i < arg.burners + arg.nappers; i++) {
        snprintf(text, sizeof text, "42[\"%s\",%.3f]", i < arg.burners ? "burn" : "nap", arg.seconds);
        send_text(&clients[total - 1 - i], text);
    }
}

static void ask_all(void) {
    int asking_clients = total - arg.burners - arg.nappers;
    connect_clients(0, total);
    find_tree();
    asking = 1;
    for (int i = 0; i < asking_clients; i++)
        for (int k = 0; k < arg.inflight; k++) ask(&clients[i]);
    wait_for(&acks, (uint64_t)arg.settle, "no acks");
    keep_busy();
    counting = 1;
    uint64_t from = acks;
    struct window spent = open_window();
    int64_t end = now() + (int64_t)(arg.seconds * 1e6), latest = end + (int64_t)(arg.timeout * 1e6);
    /* where somebody computes there may be no acks at all in that time: then until there are some */
    while (now() < end || (acks - from < (uint64_t)asking_clients && now() < latest)) {
        turn(100);
        if (lost) fail("a client lost its connection");
    }
    from = acks - from;
    spent = close_window(spent);
    if (!from) fail("no acks in the time that was measured");
    printf("{\"clients\":%d,\"acks\":%llu,", total, (unsigned long long)from);
    print_window(spent);
    print_times("round_trip", &round_trip);
    printf("}\n");
}

/* A small event right behind a broadcast: how long its ack takes. */
static void behind(void) {
    connect_clients(0, total);
    find_tree();
    wait_seconds(0.3);
    uint64_t expected = events, answered = acks;
    struct window spent = open_window();
    int64_t end = 0;
    for (int i = -arg.settle; i < arg.least || now() < end; i++) {
        if (i == 0) {
            spent = open_window();
            end = now() + (int64_t)(arg.seconds * 1e6);
            counting = 1;
        }
        cast_at = now();
        send_cast(0);
        ask(&clients[total - 1]);
        wait_for(&acks, ++answered, "no ack in time");
        wait_for(&events, expected += (uint64_t)total, "not everybody got an event in time");
    }
    spent = close_window(spent);
    printf("{\"clients\":%d,\"acks\":%llu,", total, (unsigned long long)round_trip.all);
    print_window(spent);
    print_times("round_trip", &round_trip);
    printf("}\n");
}

static void tick(void) {
    char text[100];
    int pushes = arg.least;
    connect_clients(0, total);
    find_tree();
    wait_seconds(0.3);
    struct window spent = open_window();
    counting = 1;
    snprintf(text, sizeof text, "42[\"tick\",%d,%d]", arg.interval, pushes);
    send_text(&clients[0], text);
    /* the burners begin behind the first push, so that a server which they stop has at least begun */
    wait_for(&events, 1, "no pushes");
    keep_busy();
    wait_for(&events, (uint64_t)total * pushes, "not everybody got a push in time");
    spent = close_window(spent);
    printf("{\"clients\":%d,\"deliveries\":%llu,", total, (unsigned long long)events);
    print_window(spent);
    print_times("arrival", &arrival);
    print_times("late", &late);
    printf("}\n");
}

int main(int count, char **words) {
    static const struct { const char *name; void (*run)(void); } MODES[] = {
        {"hold", hold}, {"cast", cast}, {"ask", ask_all}, {"behind", behind}, {"tick", tick}};
    read_arguments(count, words);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    total = arg.clients + (strcmp(arg.mode, "hold") ? 0 : arg.warm);
    polling = !strcmp(arg.transport, "polling");
    if (polling && !strcmp(arg.mode, "hold")) fail("only WebSockets are held");
    clients = calloc(total, sizeof *clients);
    epoll = epoll_create1(0);
    for (size_t i = 0; i < sizeof MODES / sizeof *MODES; i++)
        if (!strcmp(MODES[i].name, arg.mode)) return MODES[i].run(), 0;
    fail("there is no such mode");
}
