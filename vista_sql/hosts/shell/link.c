#define _GNU_SOURCE
#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "functions.h"

extern char **environ;

#define TICK_MS 50         /* how often a wait looks for Ctrl-C */
#define START_SECONDS 120  /* Python's imports on a cold disk, and to spare */
#define MAGIC 0x31515356u  /* "VSQ1" */

struct frame {
    uint32_t magic, kind; /* of a reply: 0 well, 1 an error whose text follows */
    uint64_t n_text, n_body;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *worker_python, *worker_name;

/* ── errors and texts ─────────────────────────────────────────────────────────────────────── */

bool failed(struct call *call, const char *form, ...) {
    if (!call->error[0]) {
        va_list arguments;
        va_start(arguments, form);
        vsnprintf(call->error, sizeof call->error, form, arguments);
        va_end(arguments);
    }
    return false;
}

void text_add(struct text *text, const char *bytes, size_t n) {
    if (text->n + n + 1 > text->room) {
        size_t room = 2 * (text->n + n + 1);
        char *grown = text->room && !text->data ? NULL : realloc(text->data, room);
        if (!grown) free(text->data);
        text->data = grown;
        text->room = room;
    }
    if (!text->data) return;
    memcpy(text->data + text->n, bytes, n);
    text->n += n;
    text->data[text->n] = 0;
}

void text_print(struct text *text, const char *form, ...) {
    char printed[256];
    va_list arguments;
    va_start(arguments, form);
    int n = vsnprintf(printed, sizeof printed, form, arguments);
    va_end(arguments);
    if (n > 0) text_add(text, printed, (size_t)n < sizeof printed ? (size_t)n : sizeof printed - 1);
}

void text_add_json(struct text *text, const char *string) {
    text_add(text, "\"", 1);
    for (; *string; string++) {
        unsigned char c = (unsigned char)*string;
        if (c == '"' || c == '\\') text_print(text, "\\%c", c);
        else if (c < 0x20) text_print(text, "\\u%04x", c);
        else text_add(text, string, 1);
    }
    text_add(text, "\"", 1);
}

void *scratch(struct call *call, size_t n) {
    if (n > call->n_scratch) {
        free(call->scratch);
        call->scratch = malloc(n);
        call->n_scratch = call->scratch ? n : 0;
        if (!call->scratch) failed(call, "vista: out of memory (%zu bytes)", n);
    }
    return call->scratch;
}

/* ── Ctrl-C ───────────────────────────────────────────────────────────────────────────────────
 * DuckDB looks for an interrupt between chunks only; a chunk of inference takes minutes. While a
 * call waits, SIGINT comes here first and is then passed on to whoever had it before. */

static volatile sig_atomic_t interrupts;
static struct sigaction before;
static int n_waiting;

static void on_interrupt(int signal_number, siginfo_t *info, void *context) {
    interrupts++;
    if (before.sa_flags & SA_SIGINFO) {
        before.sa_sigaction(signal_number, info, context);
    } else if (before.sa_handler == SIG_DFL) {
        sigaction(SIGINT, &before, NULL);
        raise(SIGINT);
    } else if (before.sa_handler != SIG_IGN) {
        before.sa_handler(signal_number);
    }
}

static void listen_for_interrupts(bool on) {
    pthread_mutex_lock(&lock);
    struct sigaction ours = {0}, current;
    ours.sa_sigaction = on_interrupt;
    ours.sa_flags = SA_SIGINFO | SA_RESTART;
    sigemptyset(&ours.sa_mask);
    sigaction(SIGINT, NULL, &current);
    bool is_ours = (current.sa_flags & SA_SIGINFO) && current.sa_sigaction == on_interrupt;
    if (on && n_waiting++ == 0 && !is_ours) {
        before = current;
        sigaction(SIGINT, &ours, NULL);
    } else if (!on && --n_waiting == 0 && is_ours) {
        sigaction(SIGINT, &before, NULL);
    }
    pthread_mutex_unlock(&lock);
}

static bool interrupted(struct call *call) {
    return interrupts != call->interrupts && !failed(call, "Interrupted!");
}

/* Wait until the descriptor is ready, Ctrl-C, or (seconds > 0) too late. */
static bool wait_for(struct call *call, int fd, short events, time_t until) {
    for (;;) {
        struct pollfd polled = {.fd = fd, .events = events};
        int n = poll(&polled, 1, TICK_MS);
        if (interrupted(call)) return false;
        if (n > 0) return true;
        if (n < 0 && errno != EINTR) return failed(call, "vista: poll: %s", strerror(errno));
        if (until && time(NULL) > until)
            return failed(call, "vista: the worker did not answer within %d s", START_SECONDS);
    }
}

/* ── bytes ────────────────────────────────────────────────────────────────────────────────── */

static bool lost(struct call *call) {
    call->ended = true;
    return failed(call,
                  "vista: the worker ended in the middle of this statement (killed, out of memory, "
                  "or crashed: see its log, `vista worker --log`); run the statement again, a new "
                  "worker starts by itself");
}

static bool send_all(struct call *call, const unsigned char *bytes, size_t n) {
    while (n) {
        ssize_t sent = send(call->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            bytes += sent;
            n -= (size_t)sent;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!wait_for(call, call->fd, POLLOUT, 0)) return false;
        } else if (errno != EINTR) {
            return lost(call);
        }
    }
    return true;
}

bool flush(struct call *call) {
    size_t n = call->n_out;
    call->n_out = 0;
    return send_all(call, call->out, n);
}

bool put(struct call *call, const void *bytes, size_t n) {
    call->n_put += n;
    if (call->counting || n == 0) return true;
    if (call->n_out + n > sizeof call->out && !flush(call)) return false;
    if (n > sizeof call->out / 4) return flush(call) && send_all(call, bytes, n);
    memcpy(call->out + call->n_out, bytes, n);
    call->n_out += n;
    return true;
}

bool put_u64(struct call *call, uint64_t value) { return put(call, &value, sizeof value); }

bool put_frame(struct call *call, uint32_t kind, uint64_t n_text, uint64_t n_body) {
    struct frame frame = {MAGIC, kind, n_text, n_body};
    return put(call, &frame, sizeof frame);
}

static ssize_t receive(struct call *call, void *bytes, size_t n) {
    for (;;) {
        ssize_t got = recv(call->fd, bytes, n, MSG_DONTWAIT);
        if (got > 0) return got;
        if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
            lost(call);
            return 0;
        }
        if (!wait_for(call, call->fd, POLLIN, 0)) return 0;
    }
}

bool take(struct call *call, void *bytes, size_t n) {
    unsigned char *to = bytes;
    while (n) {
        size_t there = call->in_end - call->in_at;
        if (there) {
            size_t some = there < n ? there : n;
            memcpy(to, call->in + call->in_at, some);
            call->in_at += some;
            to += some;
            n -= some;
            continue;
        }
        bool large = n >= sizeof call->in; /* straight to where it belongs */
        ssize_t got = receive(call, large ? to : call->in, large ? n : sizeof call->in);
        if (got <= 0) return false;
        if (large) {
            to += got;
            n -= (size_t)got;
        } else {
            call->in_at = 0;
            call->in_end = (size_t)got;
        }
    }
    return true;
}

bool take_u64(struct call *call, uint64_t *value) { return take(call, value, sizeof *value); }

bool take_reply(struct call *call) {
    struct frame frame;
    if (!take(call, &frame, sizeof frame)) return false;
    if (frame.magic != MAGIC) return failed(call, "vista: what answers is no worker of vista_sql");
    if (frame.kind == 0) return true;
    char *text = scratch(call, frame.n_text + 1);
    if (!text || !take(call, text, frame.n_text)) return false;
    text[frame.n_text] = 0;
    call->answered = true;
    return failed(call, "%s", text);
}

/* ── finding the worker, and starting it ──────────────────────────────────────────────────── */

static char *copied(const char *bytes, size_t n) {
    char *copy = malloc(n + 1);
    if (copy) {
        memcpy(copy, bytes, n);
        copy[n] = 0;
    }
    return copy;
}

void link_configure(const char *python, size_t n_python, const char *name, size_t n_name) {
    pthread_mutex_lock(&lock);
    free(worker_python);
    free(worker_name);
    worker_python = copied(python, n_python);
    worker_name = copied(name, n_name);
    pthread_mutex_unlock(&lock);
}

/* Make the private folder of sockets, or check that it is ours alone. */
static bool private_folder(struct call *call, char *path, size_t n) {
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    struct stat found;
    if (runtime && stat(runtime, &found) == 0 && S_ISDIR(found.st_mode))
        snprintf(path, n, "%s/vista_sql", runtime);
    else
        snprintf(path, n, "/tmp/vista_sql-%u", (unsigned)geteuid());
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return failed(call, "vista: %s: %s", path, strerror(errno));
    if (lstat(path, &found) != 0) return failed(call, "vista: %s: %s", path, strerror(errno));
    if (!S_ISDIR(found.st_mode) || found.st_uid != geteuid() || (found.st_mode & 077))
        return failed(call,
                      "vista: %s must be a folder of yours that nobody else can enter (mode 700; it "
                      "has owner %u, mode %o): remove it, or set XDG_RUNTIME_DIR to another place",
                      path, (unsigned)found.st_uid, (unsigned)found.st_mode & 07777);
    return true;
}

/* Connect to a listening worker of this user; -1 with no error noted: there is none. */
static int connected(struct call *call, const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        failed(call, "vista: %s is too long a name for a socket: set XDG_RUNTIME_DIR", path);
        return -1;
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        failed(call, "vista: socket: %s", strerror(errno));
        return -1;
    }
    while (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        if (errno == EINTR) continue;
        if (errno != ENOENT && errno != ECONNREFUSED)
            failed(call, "vista: %s: %s", path, strerror(errno));
        close(fd);
        return -1;
    }
#ifdef SO_PEERCRED
    struct ucred peer;
    socklen_t n = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0 || peer.uid != geteuid()) {
        failed(call, "vista: the worker at %s belongs to another user", path);
        close(fd);
        return -1;
    }
#endif
    return fd;
}

/* Run the worker's Python until it says on its stderr why not, or is listening and lets go. */
static bool start_worker(struct call *call, const char *path) {
    if (!worker_python)
        return failed(call, "vista: no worker is known: .read the file that `vista extension init` "
                            "names, it says which Python runs it");
    int said[2];
    if (pipe2(said, O_CLOEXEC) != 0) return failed(call, "vista: pipe: %s", strerror(errno));
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&files, said[1], 2);
    posix_spawnattr_t how;
    posix_spawnattr_init(&how); /* a group of its own: Ctrl-C in the terminal is not for it */
    posix_spawnattr_setpgroup(&how, 0);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setsigdefault(&how, &all);
    posix_spawnattr_setflags(
        &how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    char *arguments[] = {worker_python, "-m", "vista_sql", "worker", "--socket", (char *)path,
                         "--detach", NULL};
    pid_t child;
    int wrong = posix_spawn(&child, worker_python, &files, &how, arguments, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&how);
    close(said[1]);
    if (wrong) {
        close(said[0]);
        return failed(call, "vista: the worker did not start: %s: %s; `vista extension init` names "
                            "a file for the Python that is there now", worker_python,
                      strerror(wrong));
    }
    char text[3000];
    size_t n = 0;
    bool fine = true;
    time_t until = time(NULL) + START_SECONDS;
    for (;;) {
        fine = wait_for(call, said[0], POLLIN, until);
        ssize_t got = fine ? read(said[0], text + n, sizeof text - 1 - n) : 0;
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        n += (size_t)got;
        if (n > sizeof text / 2) { /* the end tells more than the beginning */
            memmove(text, text + n - sizeof text / 2, sizeof text / 2);
            n = sizeof text / 2;
        }
    }
    close(said[0]);
    if (!fine) return false;
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    while (n && (text[n - 1] == '\n' || text[n - 1] == ' ')) n--;
    text[n] = 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return failed(call, "vista: the worker did not start: %s", n ? text : worker_python);
    return true;
}

static bool find_worker(struct call *call) {
    char folder[1024], path[1200], guard[1200];
    if (!private_folder(call, folder, sizeof folder)) return false;
    snprintf(path, sizeof path, "%s/%s.sock", folder, worker_name ? worker_name : "none");
    snprintf(guard, sizeof guard, "%s/%s.lock", folder, worker_name ? worker_name : "none");
    call->fd = connected(call, path);
    if (call->fd >= 0 || call->error[0]) return call->fd >= 0;
    int held = open(guard, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (held < 0) return failed(call, "vista: %s: %s", guard, strerror(errno));
    while (flock(held, LOCK_EX | LOCK_NB) != 0) { /* another shell starts it just now */
        poll(NULL, 0, TICK_MS);
        if (interrupted(call)) break;
    }
    if (!call->error[0]) call->fd = connected(call, path);
    if (call->fd < 0 && !call->error[0] && start_worker(call, path)) {
        call->fd = connected(call, path);
        if (call->fd < 0) failed(call, "vista: the worker ended as soon as it had started: see "
                                       "`vista worker --log`");
    }
    close(held);
    return call->fd >= 0;
}

static bool say_hello(struct call *call) {
    struct text hello = {0};
    text_print(&hello, "{\"protocol\":%d,\"package\":", PROTOCOL);
    text_add_json(&hello, PACKAGE_VERSION);
    text_add(&hello, ",\"session\":", 11);
    text_add_json(&hello, call->session->id);
    text_add(&hello, ",\"database\":", 12);
    text_add_json(&hello, call->session->database);
    text_add(&hello, "}", 1);
    bool fine = hello.data && put_frame(call, HELLO, hello.n, 0) &&
                put(call, hello.data, hello.n) && flush(call) && take_reply(call);
    free(hello.data);
    return fine;
}

bool link_open(struct call *call) {
    call->fd = -1;
    call->interrupts = interrupts;
    listen_for_interrupts(true);
    pthread_mutex_lock(&lock);
    while (call->fd < 0 && call->session->n_links > 0) {
        char byte;
        int fd = call->session->links[--call->session->n_links];
        ssize_t got = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) call->fd = fd;
        else close(fd); /* the worker has ended since */
    }
    pthread_mutex_unlock(&lock);
    if (call->fd >= 0) return true;
    for (int attempt = 0; attempt < 3; attempt++) { /* a worker that just ends takes no hello */
        if (find_worker(call) && say_hello(call)) return true;
        if (!call->ended) return false;
        close(call->fd);
        call->ended = false;
        call->error[0] = 0;
        poll(NULL, 0, TICK_MS);
    }
    return lost(call);
}

void link_close(struct call *call) {
    pthread_mutex_lock(&lock);
    if (call->fd >= 0 && call->answered && call->session->n_links < IDLE_LINKS) {
        call->session->links[call->session->n_links++] = call->fd;
        call->fd = -1;
    }
    pthread_mutex_unlock(&lock);
    if (call->fd >= 0) close(call->fd);
    free(call->scratch);
    listen_for_interrupts(false);
}

void link_drop(struct session *session) {
    pthread_mutex_lock(&lock);
    while (session->n_links > 0) close(session->links[--session->n_links]);
    pthread_mutex_unlock(&lock);
}
