/* DuckDB's vectors as bytes, and back.
 *
 * A column is a node: u64 nulls (0: none, 1: a bitmap follows, 2: every row is NULL and nothing
 * follows), then by its type
 *     numbers, dates …      n values
 *     VARCHAR, BLOB         n + 1 offsets (i64), then the bytes
 *     LIST, MAP             n + 1 offsets (i64), then the node of the elements
 *     ARRAY, STRUCT         the node of the elements, or one of each field
 * each part padded to 8 bytes. These are the buffers of Arrow's columnar format in the order in
 * which an IPC message has them, so the worker wraps them as Arrow arrays without a copy. Only the
 * message's flatbuffers head is not used: v1.2.0 of the C API has no Arrow, and to read and write
 * that head here would take more code than the rest of the extension.
 */
#ifndef VISTA_COLUMNS_H
#define VISTA_COLUMNS_H

#include "duckdb_api.h"
#include "link.h"

/* Add a type as JSON: [id, …] with what the id leaves open. */
void describe(struct text *text, duckdb_logical_type type);

bool put_column(struct call *call, duckdb_vector vector, idx_t n_rows);
bool take_column(struct call *call, duckdb_vector vector, idx_t n_rows);

/* Make a type from its short form: `17;` an id, `[` list, `(` key value, `{name=type …}`. */
duckdb_logical_type read_type(const char **form);

#endif
