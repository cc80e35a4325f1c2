/*
 * The floor: the least a single-threaded server can do.  epoll, recv, send; every frame is made before it is needed,
 * and nothing that comes in is understood beyond its first letters.
 *
 *   floor PORT FOLDER           FOLDER/100.json ... are the payloads (benchmarks/payloads.py)
 *
 * It is no WebSocket server: it answers what load.c says with what load.c wants to hear.  Whatever costs more than this
 * is protocol, rooms, handlers, language; whatever this costs is the kernel.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1 << 20 };

static const char HELLO[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
static const char OPEN[] =
    "0{\"sid\":\"lv_VI97HAXpY6yYWAAAC\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}";
static const char JOINED[] = "40{\"sid\":\"wZX3oN0bSVIhsaknAAAI\"}";

struct bytes { char *at; size_t size; };

static struct { const char *name; struct bytes once; } payloads[] = {
    {"100", {0, 0}}, {"2048", {0, 0}}, {"100b", {0, 0}}, {"2048b", {0, 0}}};
static struct { int count, members[64]; } rooms[1024];
static unsigned char steps[MOST]; /* by descriptor: 0 nothing was said yet, 1 the head was answered, 2 joined */
static int members[MOST], places[MOST], count;
static int epoll, timer = -1;
static int64_t due, interval;
static long left;

static struct bytes framed_as(int opcode, const char *text, size_t size) {
    unsigned char head[4] = {0x80 | opcode, size < 126 ? size : 126, size >> 8, size};
    size_t header = size < 126 ? 2 : 4;
    struct bytes frame = {malloc(header + size), header + size};
    memcpy(frame.at, head, header);
    memcpy(frame.at + header, text, size);
    return frame;
}

static struct bytes framed(const char *text, size_t size) { return framed_as(1, text, size); }

/* An event with one attachment: two frames in one piece. */
static struct bytes attachment_of(const char *name) {
    static const char text[] = "451-[\"news\",{\"_placeholder\":true,\"num\":0}]";
    struct bytes first = framed(text, sizeof text - 1), second = framed_as(2, calloc(1, 4096), (size_t)atoi(name));
    first.at = realloc(first.at, first.size + second.size);
    memcpy(first.at + first.size, second.at, second.size);
    first.size += second.size;
    return first;
}

static struct bytes event_of(const char *folder, const char *name) {
    static char text[1 << 16];
    char path[512];
    snprintf(path, sizeof path, "%s/%s.json", folder, name);
    FILE *file = fopen(path, "r");
    if (!file) exit((perror(path), 1));
    size_t size = (size_t)sprintf(text, "42[\"news\",");
    size += fread(text + size, 1, sizeof text - size - 1, file);
    fclose(file);
    text[size++] = ']';
    return framed(text, size);
}

static void tell(int fd, const void *data, size_t size) {
    if (send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) perror("send");
}

static void tell_everybody(struct bytes frame) {
    for (int i = 0; i < count; i++) tell(members[i], frame.at, frame.size);
}

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void push(void) {
    char text[100];
    uint64_t times;
    if (read(timer, &times, sizeof times) < 0) return;
    for (; times && left; times--, left--, due += interval) {
        int size = sprintf(text, "42[\"tick\",{\"t\":%lld,\"d\":%lld}]", (long long)now(), (long long)due);
        struct bytes frame = framed(text, (size_t)size);
        tell_everybody(frame);
        free(frame.at);
    }
    if (!left) close(timer), timer = -1;
}

static void begin_pushing(const char *text) {
    struct itimerspec when = {{0, 0}, {0, 0}};
    sscanf(text, "42[\"tick\",%ld,%ld", (long *)&interval, &left);
    when.it_interval.tv_sec = when.it_value.tv_sec = interval / 1000000;
    when.it_interval.tv_nsec = when.it_value.tv_nsec = interval % 1000000 * 1000;
    due = now() + interval;
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    timerfd_settime(timer, 0, &when, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = timer};
    epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event);
}

static void *burn(void *seconds) {
    int64_t end = now() + (int64_t)(*(double *)seconds * 1e6);
    free(seconds);
    while (now() < end) {}
    return 0;
}

static void begin_burning(const char *text) {
    double *seconds = malloc(sizeof *seconds);
    pthread_t thread;
    *seconds = atof(strchr(text, ',') + 1);
    pthread_create(&thread, 0, burn, seconds);
    pthread_detach(thread);
}

/* The event whose payload's name stands at `text`, with a quotation mark behind it. */
static struct bytes named(const char *text, size_t *size) {
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        *size = strlen(payloads[i].name);
        if (!strncmp(text, payloads[i].name, *size) && text[*size] == '"') return payloads[i].once;
    }
    exit((fputs("no such payload\n", stderr), 1));
}

static void cast(const char *text) { /* 42["cast","100",1] */
    size_t size;
    struct bytes once = named(text + 11, &size);
    for (int times = atoi(text + 13 + size); times > 0; times--) tell_everybody(once);
}

static void cast_to_room(const char *text) { /* 42["room","r17","100"] */
    size_t size;
    int room = atoi(text + 12) & 1023;
    struct bytes once = named(strchr(text + 12, ',') + 2, &size);
    for (int i = 0; i < rooms[room].count; i++) tell(rooms[room].members[i], once.at, once.size);
}

static void enter(int fd, const char *text) { /* ["enter","r17"] */
    int room = atoi(text + 11) & 1023;
    if (rooms[room].count < 64) rooms[room].members[rooms[room].count++] = fd;
}

static void join(int fd) {
    static struct bytes joined;
    if (!joined.at) joined = framed(JOINED, sizeof JOINED - 1);
    steps[fd] = 2;
    places[fd] = count;
    members[count++] = fd;
    tell(fd, joined.at, joined.size);
}

static void leave(int fd) {
    if (steps[fd] == 2) { /* the last member takes the empty place */
        members[places[fd]] = members[--count];
        places[members[count]] = places[fd];
    }
    close(fd);
}

static void take(int fd) {
    static char chunk[1 << 16];
    static struct bytes opened;
    ssize_t size = recv(fd, chunk, sizeof chunk - 1, MSG_DONTWAIT);
    if (size <= 0) {
        leave(fd);
        return;
    }
    chunk[size] = 0;
    if (!steps[fd]) {
        if (!opened.at) opened = framed(OPEN, sizeof OPEN - 1);
        char both[512];
        memcpy(both, HELLO, sizeof HELLO - 1);
        memcpy(both + sizeof HELLO - 1, opened.at, opened.size);
        steps[fd] = 1;
        tell(fd, both, sizeof HELLO - 1 + opened.size);
        if (chunk[sizeof "GET /socket.io/?EIO=" - 1] == '3') join(fd); /* Engine.IO 3: without asking */
        return;
    }
    for (char *at = chunk; at < chunk + size;) { /* frames of a client: two bytes, a mask of zeros, short texts */
        int length = at[1] & 127;
        char *text = at + 6;
        if ((at[0] & 15) == 8) {
            static const char bye[4] = {(char)0x88, 2, 3, (char)0xe8};
            tell(fd, bye, sizeof bye);
            leave(fd);
            return;
        }
        if (text[1] == '0') join(fd);
        else if (!strncmp(text, "42[\"cast", 8)) cast(text);
        else if (!strncmp(text, "42[\"room", 8)) cast_to_room(text);
        else if (!strncmp(text, "42[\"tick", 8)) begin_pushing(text);
        else if (!strncmp(text, "42[\"burn", 8)) begin_burning(text);
        else if (text[0] == '4' && text[1] == '2' && text[2] != '[') { /* the ack: the same digits, the same word */
            char answer[140] = {(char)0x81};
            int digits = (int)strspn(text + 2, "0123456789");
            if (text[digits + 4] == 'e') enter(fd, text + 2 + digits);
            memcpy(answer + 2, "43", 2);
            memcpy(answer + 4, text + 2, (size_t)digits);
            memcpy(answer + 4 + digits, "[\"hello\"]", 9);
            answer[1] = (char)(2 + digits + 9);
            tell(fd, answer, (size_t)(2 + answer[1]));
        }
        at += 6 + length;
    }
}

int main(int words, char **word) {
    if (words != 3) return fputs("floor PORT FOLDER\n", stderr), 1;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++)
        payloads[i].once = strchr(payloads[i].name, 'b') ? attachment_of(payloads[i].name)
                                                         : event_of(word[2], payloads[i].name);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(atoi(word[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 4096)) return perror("listen"), 1;
    epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, found[1024];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int many = epoll_wait(epoll, found, 1024, -1);
        for (int i = 0; i < many; i++) {
            int fd = found[i].data.fd;
            if (fd == timer) push();
            else if (fd != listener) take(fd);
            else if ((fd = accept(listener, 0, 0)) >= 0) {
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                steps[fd] = 0;
                event.data.fd = fd;
                epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
            }
        }
    }
}
