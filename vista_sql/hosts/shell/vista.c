/* vista_sql's kernels and planner as scalar functions of the stock DuckDB shell.
 *
 * Every function is one: it sends its rows to the worker (link.c), a process that runs the Python
 * package, and returns what comes back (columns.c). What the functions are called and take is in
 * functions.h, written from the kernels themselves when the extension is built.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "columns.h"
#include "duckdb_api.h"
#include "functions.h"
#include "link.h"

extern char **environ;

const void *duckdb_api[API_PLACES];

/* What DuckDB hands back with each call of a function. */
struct bound {
    const char *name;
    struct session *session;
};

static void unbind(void *data) {
    struct bound *bound = data;
    if (__atomic_sub_fetch(&bound->session->n_users, 1, __ATOMIC_ACQ_REL) == 0) {
        link_drop(bound->session);
        free(bound->session->database);
        free(bound->session);
    }
    free(bound);
}

/* Describe a call: its function, its columns, and where the user stands. */
static void request_of(struct text *text, const char *name, duckdb_data_chunk chunk) {
    char folder[4096];
    text_add(text, "{\"call\":", 8);
    text_add_json(text, name);
    text_print(text, ",\"rows\":%llu,\"types\":[",
               (unsigned long long)duckdb_data_chunk_get_size(chunk));
    for (idx_t i = 0; i < duckdb_data_chunk_get_column_count(chunk); i++) {
        duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, i);
        duckdb_logical_type type = duckdb_vector_get_column_type(vector);
        if (i) text_add(text, ",", 1);
        describe(text, type);
        duckdb_destroy_logical_type(&type);
    }
    text_add(text, "],\"folder\":", 11);
    text_add_json(text, getcwd(folder, sizeof folder) ? folder : "/");
    text_add(text, ",\"environment\":{", 16);
    int n = 0;
    for (char **entry = environ; *entry; entry++) {
        char *equals = strchr(*entry, '=');
        if (strncmp(*entry, "VISTA_SQL_", 10) != 0 || !equals) continue;
        char *variable = strndup(*entry, (size_t)(equals - *entry));
        if (n++) text_add(text, ",", 1);
        if (variable) text_add_json(text, variable);
        text_add(text, ":", 1);
        text_add_json(text, equals + 1);
        free(variable);
    }
    text_add(text, "}}", 2);
}

static bool put_columns(struct call *call, duckdb_data_chunk chunk) {
    idx_t n_rows = duckdb_data_chunk_get_size(chunk);
    bool fine = true;
    for (idx_t i = 0; i < duckdb_data_chunk_get_column_count(chunk) && fine; i++)
        fine = put_column(call, duckdb_data_chunk_get_vector(chunk, i), n_rows);
    return fine;
}

static bool exchange(struct call *call, const char *name, duckdb_data_chunk chunk,
                     duckdb_vector result) {
    struct text request = {0};
    request_of(&request, name, chunk);
    bool fine = request.data || failed(call, "vista: out of memory");
    call->counting = true;
    call->n_put = 0;
    fine = fine && put_columns(call, chunk);
    uint64_t n_body = call->n_put;
    call->counting = false;
    fine = fine && put_frame(call, CALL, request.n, n_body) && put(call, request.data, request.n) &&
           put_columns(call, chunk) && flush(call) && take_reply(call) &&
           take_column(call, result, duckdb_data_chunk_get_size(chunk));
    free(request.data);
    return fine;
}

static void forward(duckdb_function_info info, duckdb_data_chunk chunk, duckdb_vector result) {
    struct bound *bound = duckdb_scalar_function_get_extra_info(info);
    struct call *call = calloc(1, sizeof *call); /* its buffers are too large for a stack */
    if (!call) {
        duckdb_scalar_function_set_error(info, "vista: out of memory");
        return;
    }
    call->session = bound->session;
    if (link_open(call) && exchange(call, bound->name, chunk, result)) call->answered = true;
    if (call->error[0]) duckdb_scalar_function_set_error(info, call->error);
    link_close(call);
    free(call);
}

/* vista_worker(python, name): which Python runs the worker, and the name of its socket. */
static void configure(duckdb_function_info info, duckdb_data_chunk chunk, duckdb_vector result) {
    (void)info;
    for (idx_t row = 0; row < duckdb_data_chunk_get_size(chunk); row++) {
        const char *texts[2];
        size_t n[2];
        for (idx_t i = 0; i < 2; i++) {
            duckdb_string_t *strings = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, i));
            n[i] = strings[row].inlined.length;
            texts[i] = n[i] <= 12 ? strings[row].inlined.data : strings[row].pointer.data;
        }
        link_configure(texts[0], n[0], texts[1], n[1]);
        duckdb_vector_assign_string_element_len(result, row, texts[0], n[0]);
    }
}

static bool add_function(duckdb_connection connection, const struct function *added,
                         struct session *session, duckdb_scalar_call call) {
    duckdb_scalar_function function = duckdb_create_scalar_function();
    duckdb_scalar_function_set_name(function, added->name);
    duckdb_logical_type type;
    if (!added->parameters) {
        type = duckdb_create_logical_type(ANY);
        duckdb_scalar_function_set_varargs(function, type);
        duckdb_destroy_logical_type(&type);
    }
    for (const char *form = added->parameters; form && *form;) {
        type = read_type(&form);
        duckdb_scalar_function_add_parameter(function, type);
        duckdb_destroy_logical_type(&type);
    }
    const char *form = added->returns;
    type = read_type(&form);
    duckdb_scalar_function_set_return_type(function, type);
    duckdb_destroy_logical_type(&type);
    duckdb_scalar_function_set_special_handling(function);
    if (added->is_volatile) duckdb_scalar_function_set_volatile(function);
    struct bound *bound = malloc(sizeof *bound);
    if (!bound) return false;
    *bound = (struct bound){added->name, session};
    __atomic_add_fetch(&session->n_users, 1, __ATOMIC_ACQ_REL);
    duckdb_scalar_function_set_extra_info(function, bound, unbind);
    duckdb_scalar_function_set_function(function, call);
    bool fine = duckdb_register_scalar_function(connection, function) == 0;
    duckdb_destroy_scalar_function(&function);
    return fine;
}

/* Return the path of the database's file, "" for one in memory; to be freed. */
static char *database_of(duckdb_connection connection) {
    char *path = NULL;
    duckdb_result result;
    if (duckdb_query(connection, "SELECT coalesce(path, '') FROM duckdb_databases() "
                                 "WHERE database_name = current_database()", &result) == 0) {
        duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
        if (chunk && duckdb_data_chunk_get_size(chunk)) {
            duckdb_string_t *found = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));
            size_t n = found->inlined.length;
            path = strndup(n <= 12 ? found->inlined.data : found->pointer.data, n);
        }
        if (chunk) duckdb_destroy_data_chunk(&chunk);
    }
    duckdb_destroy_result(&result);
    char *whole = path && path[0] && strcmp(path, ":memory:") ? realpath(path, NULL) : strdup("");
    if (!whole) return path; /* not a file of this machine */
    free(path);
    return whole;
}

__attribute__((visibility("default"))) bool vista_init_c_api(
    duckdb_extension_info info, struct duckdb_extension_access *access) {
    const void *api = access->get_api(info, DUCKDB_API_VERSION);
    if (!api) return false; /* DuckDB has noted why */
    memcpy(duckdb_api, api, sizeof duckdb_api); /* it is lent while the extension loads */
    duckdb_connection connection;
    struct session *session = calloc(1, sizeof *session);
    unsigned char random[16];
    if (!session || getrandom(random, sizeof random, 0) != sizeof random ||
        duckdb_connect(*access->get_database(info), &connection) != 0) {
        free(session);
        access->set_error(info, "vista: cannot connect to the database");
        return false;
    }
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(session->id + 2 * i, 3, "%02x", random[i]);
    session->database = database_of(connection);
    static const struct function worker = {"vista_worker", "17;17;", "17;", true};
    session->n_users = 1; /* ours */
    bool fine = session->database && add_function(connection, &worker, session, configure);
    for (size_t i = 0; functions[i].name && fine; i++)
        fine = add_function(connection, &functions[i], session, forward);
    duckdb_disconnect(&connection);
    __atomic_sub_fetch(&session->n_users, 1, __ATOMIC_ACQ_REL);
    if (!fine) access->set_error(info, "vista: DuckDB refused a function");
    return fine;
}
