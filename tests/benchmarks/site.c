/* A cheap simulated site: thousands of UPSes over SNMP v1/v2c, or of Modbus TCP servers with 60 registers, one process.
 *
 *   site snmp|modbus PORT DEVICES [moving SHARE] [delay MS] [loss SHARE]
 *
 * Device i answers at 127.1.0.1 + i, all on one port. With each poll that share of the devices moves its measured
 * values a little. Commands come on stdin, a line each; times are CLOCK_MONOTONIC in s, which every process here shares:
 *
 *   set DEVICE SLOT VALUE     from now on; "seen DEVICE SLOT TIME" when the first answer with it leaves
 *   dead SHARE                so many devices, evenly spread, answer nothing any more
 *   reset                     forget the polls counted so far
 *   polls INTERVAL            {"polls", "requests", "devices", "gaps", "p50", "p99", "max"}; |gap - interval| in ms
 *
 * A poll is counted when slot 0 is asked.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
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

enum { FIRST = 0x7f010001, SLOTS = 64, BATCH = 128, FEW = 8, LARGE = 2048, HELD = 16384 };

struct object { const char *oid; int tag; int value, spread; const char *text; };

/* The first twenty are the poll of the benchmarks: slot 0 the source, 1 … 19 as in the driver file beside this. */
static const struct object OBJECTS[] = {
    {"1.3.6.1.2.1.33.1.4.1.0", 2, 3, 0, 0}, {"1.3.6.1.2.1.33.1.2.1.0", 2, 2, 0, 0},
    {"1.3.6.1.2.1.33.1.2.2.0", 2, 0, 0, 0}, {"1.3.6.1.2.1.33.1.2.3.0", 2, 40, 0, 0},
    {"1.3.6.1.2.1.33.1.2.4.0", 2, 100, 0, 0}, {"1.3.6.1.2.1.33.1.2.5.0", 2, 2180, 6, 0},
    {"1.3.6.1.2.1.33.1.2.6.0", 2, 2, 1, 0}, {"1.3.6.1.2.1.33.1.2.7.0", 2, 25, 0, 0},
    {"1.3.6.1.2.1.33.1.3.1.0", 0x41, 4, 0, 0}, {"1.3.6.1.2.1.33.1.3.3.1.2.1", 2, 500, 0, 0},
    {"1.3.6.1.2.1.33.1.3.3.1.3.1", 2, 230, 3, 0}, {"1.3.6.1.2.1.33.1.3.3.1.3.2", 2, 231, 3, 0},
    {"1.3.6.1.2.1.33.1.3.3.1.3.3", 2, 229, 3, 0}, {"1.3.6.1.2.1.33.1.4.2.0", 2, 500, 0, 0},
    {"1.3.6.1.2.1.33.1.4.4.1.2.1", 2, 230, 1, 0}, {"1.3.6.1.2.1.33.1.4.4.1.3.1", 2, 82, 4, 0},
    {"1.3.6.1.2.1.33.1.4.4.1.4.1", 2, 1800, 40, 0}, {"1.3.6.1.2.1.33.1.4.4.1.5.1", 2, 35, 2, 0},
    {"1.3.6.1.2.1.33.1.5.3.1.2.1", 2, 230, 2, 0}, {"1.3.6.1.2.1.33.1.7.3.0", 2, 6, 0, 0},
    {"1.3.6.1.2.1.1.1.0", 4, 0, 0, "Bench UPS card"}, {"1.3.6.1.2.1.1.2.0", 6, 0, 0, "\x2b\x06\x01\x02\x01\x21"},
    {"1.3.6.1.2.1.1.3.0", 0x43, 0, 0, 0}, {"1.3.6.1.2.1.1.4.0", 4, 0, 0, "bench"},
    {"1.3.6.1.2.1.1.5.0", 4, 0, 0, "ups"}, {"1.3.6.1.2.1.1.6.0", 4, 0, 0, "power room"},
    {"1.3.6.1.2.1.33.1.1.1.0", 4, 0, 0, "Bench"}, {"1.3.6.1.2.1.33.1.1.2.0", 4, 0, 0, "Bench 3000"},
    {"1.3.6.1.2.1.33.1.1.3.0", 4, 0, 0, "1.0"}, {"1.3.6.1.2.1.33.1.3.2.0", 2, 3, 0, 0},
    {"1.3.6.1.2.1.33.1.4.3.0", 2, 1, 0, 0}, {"1.3.6.1.2.1.33.1.6.1.0", 0x42, 0, 0, 0},
};
#define UPTIME 22
#define COUNT ((int)(sizeof OBJECTS / sizeof OBJECTS[0]))

struct device { int values[SLOTS]; uint64_t fresh; double last; };

static unsigned char ber[COUNT][32];
static int ber_length[COUNT], sorted[COUNT];
static struct device *devices;
static int total, modbus;
static double moving = 0.5, delay, loss, dead;
static double *gaps;
static long gap_count, gap_room, polls, requests;
static uint32_t dice = 2463534242u;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double roll(void) {
    dice ^= dice << 13, dice ^= dice >> 17, dice ^= dice << 5;
    return dice / 4294967296.0;
}

static int is_dead(int i) { return floor((i + 1) * dead) > floor(i * dead); }

static int by_oid(const void *a, const void *b) {
    int i = *(const int *)a, j = *(const int *)b;
    int n = ber_length[i] < ber_length[j] ? ber_length[i] : ber_length[j];
    int order = memcmp(ber[i], ber[j], n);
    return order ? order : ber_length[i] - ber_length[j]; /* no arc here is above 127 */
}

static void encode_oids(void) {
    for (int i = 0; i < COUNT; i++) {
        int n = 1, arcs = 0;
        char text[64], *rest = text;
        strcpy(text, OBJECTS[i].oid);
        ber[i][0] = 0x2b;
        for (char *arc; (arc = strsep(&rest, ".")); arcs++)
            if (arcs > 1) ber[i][n++] = (unsigned char)atoi(arc);
        ber_length[i] = n, sorted[i] = i;
    }
    qsort(sorted, COUNT, sizeof(int), by_oid);
}

/* Count one poll of a device and let its values move. */
static void polled(struct device *d, double at) {
    polls++;
    if (d->last > 0 && gap_count < gap_room) gaps[gap_count++] = at - d->last;
    d->last = at;
    if (roll() >= moving) return;
    for (int i = 0; i < (modbus ? 50 : 20); i++) {
        int middle = modbus ? 230 + i : OBJECTS[i].value, spread = modbus ? 3 : OBJECTS[i].spread;
        if (!spread || (modbus && i % 4)) continue;
        int next = d->values[i] + (int)(roll() * 3) - 1;
        if (abs(next - middle) <= spread) d->values[i] = next;
    }
}

static void told(struct device *d, int slot, double at) {
    if (!(d->fresh >> slot & 1)) return;
    d->fresh &= ~(1ull << slot);
    printf("seen %d %d %.9f\n", (int)(d - devices), slot, at);
    fflush(stdout);
}

/* BER. All that is read is bounded by `end`; 0 is "this is no message". */
static int head(const unsigned char **p, const unsigned char *end, int *tag) {
    if (end - *p < 2) return -1;
    *tag = *(*p)++;
    int n = *(*p)++;
    if (n & 0x80) {
        int octets = n & 0x7f;
        if (octets > 2 || end - *p < octets) return -1;
        for (n = 0; octets; octets--) n = n << 8 | *(*p)++;
    }
    return n <= end - *p ? n : -1;
}

static int put_head(unsigned char *out, int tag, int n) {
    out[0] = (unsigned char)tag;
    if (n < 128) return out[1] = (unsigned char)n, 2;
    out[1] = 0x82, out[2] = (unsigned char)(n >> 8), out[3] = (unsigned char)n;
    return 4;
}

static int put_value(unsigned char *out, struct device *d, int i, double at) {
    const struct object *o = &OBJECTS[i];
    if (o->text) {
        int n = (int)strlen(o->text);
        out[0] = (unsigned char)o->tag, out[1] = (unsigned char)n;
        memcpy(out + 2, o->text, n);
        return 2 + n;
    }
    int v = i == UPTIME ? (int)(at * 100) : d->values[i], n = 4;
    while (n > 1 && v >> (8 * (n - 1) - 1) == (v < 0 ? -1 : 0)) n--;
    out[0] = (unsigned char)o->tag, out[1] = (unsigned char)n;
    for (int k = 0; k < n; k++) out[2 + k] = (unsigned char)(v >> (8 * (n - 1 - k)));
    return 2 + n;
}

static int find(const unsigned char *oid, int n, int next) {
    int low = 0;
    for (int high = COUNT; low < high;) {
        int mid = (low + high) / 2, i = sorted[mid];
        int order = memcmp(ber[i], oid, ber_length[i] < n ? ber_length[i] : n);
        if (!order) order = ber_length[i] - n;
        if (!order) return next ? (mid + 1 < COUNT ? sorted[mid + 1] : -1) : i;
        if (order < 0) low = mid + 1; else high = mid;
    }
    return next && low < COUNT ? sorted[low] : -1;
}

static int put_varbind(unsigned char *out, const unsigned char *oid, int n, int i, struct device *d, int next, double at) {
    unsigned char body[512];
    int m = put_head(body, 6, n);
    memcpy(body + m, oid, n), m += n;
    if (i < 0) body[m++] = next ? 0x82 : 0x80, body[m++] = 0; else m += put_value(body + m, d, i, at);
    int h = put_head(out, 0x30, m);
    memcpy(out + h, body, m);
    return h + m;
}

/* Answer one request of a device; return the length of the answer, 0 for none. */
static int answer(struct device *d, const unsigned char *in, int size, unsigned char *out, double at) {
    const unsigned char *p = in, *end = in + size, *version, *ident, *community;
    unsigned char list[LARGE], pdu[LARGE];
    int tag, n, community_length, ident_length, kind, used = 0, repeat = 1, status = 0, place = 0;
    if (head(&p, end, &tag) < 0 || tag != 0x30) return 0;
    if ((n = head(&p, end, &tag)) != 1) return 0;
    version = p, p += n;
    if ((community_length = head(&p, end, &tag)) < 0 || tag != 4) return 0;
    community = p, p += community_length;
    if (head(&p, end, &kind) < 0 || (kind != 0xa0 && kind != 0xa1 && kind != 0xa5)) return 0;
    if ((ident_length = head(&p, end, &tag)) < 1 || ident_length > 8) return 0;
    ident = p, p += ident_length;
    if ((n = head(&p, end, &tag)) < 0) return 0;
    p += n;
    if ((n = head(&p, end, &tag)) < 0) return 0;
    if (kind == 0xa5) for (repeat = 0; n; n--) repeat = repeat << 8 | *p++; else p += n;
    if (head(&p, end, &tag) < 0) return 0;
    for (int slot, row = 1; p < end; row++) {
        if (head(&p, end, &tag) < 0 || (n = head(&p, end, &tag)) < 1 || tag != 6) return 0;
        const unsigned char *oid = p;
        int length = n, value;
        p += n;
        if ((value = head(&p, end, &tag)) < 0) return 0;
        p += value;
        for (int k = 0; k < repeat && used < LARGE - 600; k++) {
            slot = find(oid, length, kind != 0xa0);
            if (slot >= 0 && kind != 0xa0) oid = ber[slot], length = ber_length[slot];
            if (slot < 0 && !*version && !status) status = 2, place = row;
            if (slot == 0 && kind == 0xa0) polled(d, at);
            if (slot >= 0) told(d, slot, at);
            used += put_varbind(list + used, oid, length, slot, d, kind != 0xa0, at);
            if (slot < 0) break;
        }
    }
    requests++;
    n = put_head(pdu, 2, ident_length);
    memcpy(pdu + n, ident, ident_length), n += ident_length;
    memcpy(pdu + n, (unsigned char[]){2, 1, (unsigned char)status, 2, 1, (unsigned char)place}, 6), n += 6;
    n += put_head(pdu + n, 0x30, used);
    int body = 3 + put_head(out, 4, community_length) + community_length + put_head(out, 0xa2, n + used) + n + used;
    int m = put_head(out, 0x30, body);
    out[m++] = 2, out[m++] = 1, out[m++] = *version;
    m += put_head(out + m, 4, community_length);
    memcpy(out + m, community, community_length), m += community_length;
    m += put_head(out + m, 0xa2, n + used);
    memcpy(out + m, pdu, n), m += n;
    memcpy(out + m, list, used);
    return m + used;
}

static int by_size(const void *a, const void *b) {
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static void report(double interval) {
    long heard = 0, n = gap_count;
    for (int i = 0; i < total; i++) heard += devices[i].last > 0;
    for (long i = 0; i < n; i++) gaps[i] = fabs(gaps[i] - interval) * 1000;
    qsort(gaps, n, sizeof(double), by_size);
    printf("{\"polls\": %ld, \"requests\": %ld, \"devices\": %ld, \"gaps\": %ld", polls, requests, heard, n);
    printf(", \"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f}\n", n ? gaps[n / 2] : 0, n ? gaps[n * 99 / 100] : 0, n ? gaps[n - 1] : 0);
    fflush(stdout);
}

static void forget(void) {
    for (int i = gap_count = polls = requests = 0; i < total; i++) devices[i].last = 0;
}

static void command(char *line) {
    int i, slot, value;
    double share;
    if (sscanf(line, "set %d %d %d", &i, &slot, &value) == 3 && i >= 0 && i < total && slot >= 0 && slot < SLOTS)
        devices[i].values[slot] = value, devices[i].fresh |= 1ull << slot;
    else if (sscanf(line, "dead %lf", &share) == 1) dead = share;
    else if (sscanf(line, "polls %lf", &share) == 1) report(share), forget();
    else if (!strncmp(line, "reset", 5)) forget();
}

/* Read the commands that have come; 0 when whoever gives them has gone. */
static int listen_up(void) {
    static char text[65536];
    static int have;
    int n = (int)read(0, text + have, sizeof text - 1 - have);
    if (n <= 0) return n;
    have += n, text[have] = 0;
    char *line = text;
    for (char *stop; (stop = strchr(line, '\n')); line = stop + 1) *stop = 0, command(line);
    have -= (int)(line - text);
    memmove(text, line, have);
    return 1;
}

static struct { double due; int size; struct sockaddr_in to; unsigned char control[64], data[LARGE]; } *held;
static long held_first, held_last;

static void send_held(int fd, double at) {
    for (; held_first < held_last && held[held_first % HELD].due <= at; held_first++) {
        struct iovec part = {held[held_first % HELD].data, held[held_first % HELD].size};
        struct msghdr m = {&held[held_first % HELD].to, sizeof(struct sockaddr_in), &part, 1,
            held[held_first % HELD].control, CMSG_SPACE(sizeof(struct in_pktinfo)), 0};
        sendmsg(fd, &m, 0);
    }
}

/* A few at a time: what is said to leave now must not wait for a hundred others to be made. */
static void serve_snmp(int fd) {
    static struct mmsghdr in[FEW], out[FEW];
    static struct iovec parts[FEW], answers[FEW];
    static struct sockaddr_in from[FEW];
    static unsigned char data[FEW][LARGE], replies[FEW][LARGE], controls[FEW][64];
    for (int i = 0; i < FEW; i++) {
        parts[i] = (struct iovec){data[i], LARGE};
        in[i].msg_hdr = (struct msghdr){&from[i], sizeof from[i], &parts[i], 1, controls[i], sizeof controls[i], 0};
    }
    int n = recvmmsg(fd, in, FEW, MSG_DONTWAIT, 0), m = 0;
    double at = now();
    for (int i = 0; i < n; i++) {
        struct in_pktinfo *info = (struct in_pktinfo *)CMSG_DATA((struct cmsghdr *)controls[i]);
        long which = (long)ntohl(info->ipi_addr.s_addr) - FIRST;
        if (which < 0 || which >= total || is_dead((int)which) || (loss > 0 && roll() < loss)) continue;
        int size = answer(&devices[which], data[i], in[i].msg_len, replies[m], at);
        if (!size) continue;
        info->ipi_spec_dst = info->ipi_addr, info->ipi_ifindex = 0;
        if (delay > 0) {
            if (held_last - held_first >= HELD) continue;
            long k = held_last++ % HELD;
            held[k].due = at + delay, held[k].size = size, held[k].to = from[i];
            memcpy(held[k].control, controls[i], 64), memcpy(held[k].data, replies[m], size);
            continue;
        }
        answers[m] = (struct iovec){replies[m], size};
        out[m].msg_hdr = (struct msghdr){&from[i], sizeof from[i], &answers[m], 1, controls[i], CMSG_SPACE(sizeof *info), 0};
        m++;
    }
    for (int sent = 0, k; sent < m; sent += k)
        if ((k = sendmmsg(fd, out + sent, m - sent, 0)) <= 0) k = 1;
}

struct session { int device, have; unsigned char data[LARGE]; };
static struct session *sessions[65536];

static void serve_modbus(int fd) {
    struct session *s = sessions[fd];
    int n = (int)recv(fd, s->data + s->have, LARGE - s->have, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) { close(fd), free(s), sessions[fd] = 0; return; }
    s->have += n;
    unsigned char *p = s->data, *end = p + s->have, out[LARGE];
    for (double at = now(); end - p >= 12; p += 6 + (p[4] << 8 | p[5])) {
        struct device *d = &devices[s->device];
        int first = p[8] << 8 | p[9], count = p[10] << 8 | p[11], m = 9;
        if (is_dead(s->device)) continue;
        requests++;
        memcpy(out, p, 8), out[4] = 0;
        if ((p[7] != 3 && p[7] != 4) || count < 1 || first + count > 60) {
            out[5] = 3, out[7] |= 0x80, out[8] = p[7] == 3 || p[7] == 4 ? 2 : 1;
        } else {
            if (first == 0) polled(d, at);
            for (int i = first; i < first + count; i++) {
                told(d, i, at);
                out[m++] = (unsigned char)(d->values[i] >> 8), out[m++] = (unsigned char)d->values[i];
            }
            out[5] = (unsigned char)(3 + 2 * count), out[8] = (unsigned char)(2 * count);
        }
        if (send(fd, out, 6 + out[5], MSG_NOSIGNAL) < 0) break;
    }
    s->have = (int)(end > p ? end - p : 0);
    memmove(s->data, p, s->have);
}

static void welcome(int listener, int poll_fd) {
    struct sockaddr_in own;
    socklen_t size = sizeof own;
    int fd = accept4(listener, 0, 0, SOCK_NONBLOCK), one = 1;
    if (fd < 0) return;
    getsockname(fd, (struct sockaddr *)&own, &size);
    long which = (long)ntohl(own.sin_addr.s_addr) - FIRST;
    if (which < 0 || which >= total || fd >= 65536) { close(fd); return; }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    sessions[fd] = calloc(1, sizeof(struct session));
    sessions[fd]->device = (int)which;
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &(struct epoll_event){EPOLLIN, {.fd = fd}});
}

int main(int argc, char **argv) {
    if (argc < 4) return fprintf(stderr, "site snmp|modbus PORT DEVICES [moving SHARE] [delay MS] [loss SHARE]\n"), 2;
    modbus = !strcmp(argv[1], "modbus"), total = atoi(argv[3]);
    for (int i = 4; i + 1 < argc; i += 2)
        *(!strcmp(argv[i], "moving") ? &moving : !strcmp(argv[i], "delay") ? &delay : &loss) = atof(argv[i + 1]);
    delay /= 1000;
    encode_oids();
    devices = calloc(total, sizeof *devices), gap_room = 4000000, gaps = malloc(gap_room * sizeof *gaps);
    held = calloc(HELD, sizeof *held);
    for (int i = 0; i < total; i++)
        for (int k = 0; k < SLOTS; k++) devices[i].values[k] = modbus ? (k < 50 ? 230 + k : 0) : k < COUNT ? OBJECTS[k].value : 0;
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){65536, 65536});
    int fd = socket(AF_INET, (modbus ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK, 0), one = 1, large = 32 << 20;
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof large))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &large, sizeof large);
    if (!modbus) setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&own, sizeof own) || (modbus && listen(fd, 4096))) return perror("site"), 1;
    int poll_fd = epoll_create1(0);
    fcntl(0, F_SETFL, O_NONBLOCK);
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &(struct epoll_event){EPOLLIN, {.fd = fd}});
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, 0, &(struct epoll_event){EPOLLIN, {.fd = 0}});
    printf("ready\n"), fflush(stdout);
    for (;;) {
        struct epoll_event ready[BATCH];
        double wait = held_first < held_last ? (held[held_first % HELD].due - now()) * 1000 : -1;
        int n = epoll_wait(poll_fd, ready, BATCH, wait < 0 && held_first < held_last ? 0 : (int)ceil(wait));
        for (int i = 0; i < n; i++) {
            if (ready[i].data.fd == 0) { if (!listen_up()) return 0; }
            else if (ready[i].data.fd != fd) serve_modbus(ready[i].data.fd);
            else if (modbus) welcome(fd, poll_fd);
            else serve_snmp(fd);
        }
        send_held(fd, now());
    }
}
