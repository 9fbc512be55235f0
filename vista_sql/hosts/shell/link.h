/* A shell's connections to the worker: finding it, starting it, bytes both ways, Ctrl-C. */
#ifndef VISTA_LINK_H
#define VISTA_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROTOCOL 1
#define IDLE_LINKS 64 /* kept for the next call; DuckDB has about as many threads at most */

enum { HELLO = 1, CALL = 2 };

/* One loaded extension in one database instance: what the worker knows it by. */
struct session {
    char id[33];    /* names its folder, where the database has none */
    char *database; /* the file's path; "" in memory */
    int links[IDLE_LINKS];
    int n_links;
    int n_users; /* functions that hold it; guarded by the lock of link.c */
};

/* One call under way: its connection, its bytes, and what went wrong with it. */
struct call {
    struct session *session;
    int fd;
    int interrupts; /* seen when it began */
    bool counting;  /* put() only adds up how much there is */
    uint64_t n_put;
    unsigned char out[1 << 16];
    size_t n_out;
    unsigned char in[1 << 16];
    size_t in_at, in_end;
    char *scratch; /* grows, freed with the call */
    size_t n_scratch;
    bool answered; /* the reply was read to its end: the connection can be used again */
    bool ended;    /* the worker closed the connection */
    char error[4096];
};

/* Remember which Python runs the worker, and what its socket is called. */
void link_configure(const char *python, size_t n_python, const char *name, size_t n_name);

/* Get a connection that has said hello; starts the worker where none runs. */
bool link_open(struct call *call);

/* Keep the connection, or, short of the reply's end, end it: that cancels the call. */
void link_close(struct call *call);

/* End a session's idle connections. */
void link_drop(struct session *session);

/* Send one frame: put_frame(), the text and the body with put(), flush(). */
bool put_frame(struct call *call, uint32_t kind, uint64_t n_text, uint64_t n_body);
bool put(struct call *call, const void *bytes, size_t n);
bool put_u64(struct call *call, uint64_t value);
bool flush(struct call *call);

/* Receive: the head of a reply, whose error text, if any, becomes the call's; then its body. */
bool take_reply(struct call *call);
bool take(struct call *call, void *bytes, size_t n);
bool take_u64(struct call *call, uint64_t *value);

/* Return room for n bytes, valid until the next call of scratch(). */
void *scratch(struct call *call, size_t n);

/* Note what went wrong, as printf; returns false. The first error of a call stays. */
bool failed(struct call *call, const char *form, ...);

/* Text that grows; `data` is NULL when memory ran out. */
struct text {
    char *data;
    size_t n, room;
};
void text_add(struct text *text, const char *bytes, size_t n);
void text_add_json(struct text *text, const char *string); /* quoted and escaped */
void text_print(struct text *text, const char *form, ...);

#endif
