/* The part of DuckDB's stable C extension API (C_STRUCT, v1.2.0) that the extension uses.
 *
 * A loaded extension gets the API as a table of function pointers whose order never changes; a
 * function is named here by its place in that table. Struct layouts are those of duckdb.h.
 */
#ifndef VISTA_DUCKDB_API_H
#define VISTA_DUCKDB_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DUCKDB_API_VERSION "v1.2.0"

typedef uint64_t idx_t;
typedef void *duckdb_database;
typedef void *duckdb_connection;
typedef void *duckdb_data_chunk;
typedef void *duckdb_vector;
typedef void *duckdb_logical_type;
typedef void *duckdb_scalar_function;
typedef void *duckdb_function_info;
typedef void *duckdb_extension_info;
typedef int duckdb_state; /* 0: success */

typedef struct {
    idx_t counts[3];
    void *columns;
    char *error;
    void *internal;
} duckdb_result;

typedef union {
    struct {
        uint32_t length;
        char prefix[4];
        const char *data;
    } pointer;
    struct {
        uint32_t length;
        char data[12];
    } inlined; /* where length <= 12 */
} duckdb_string_t;

typedef struct {
    uint64_t offset;
    uint64_t length;
} duckdb_list_entry;

struct duckdb_extension_access {
    void (*set_error)(duckdb_extension_info info, const char *error);
    duckdb_database *(*get_database)(duckdb_extension_info info);
    const void *(*get_api)(duckdb_extension_info info, const char *version);
};

enum { /* duckdb_type */
    BOOLEAN = 1, TINYINT, SMALLINT, INTEGER, BIGINT, UTINYINT, USMALLINT, UINTEGER, UBIGINT,
    FLOAT, DOUBLE, TIMESTAMP, DATE, TIME, INTERVAL, HUGEINT, VARCHAR, BLOB, DECIMAL, TIMESTAMP_S,
    TIMESTAMP_MS, TIMESTAMP_NS, ENUM, LIST, STRUCT, MAP, UUID, UNION, BIT, TIME_TZ, TIMESTAMP_TZ,
    UHUGEINT, ARRAY, ANY, BIGNUM, SQLNULL
};

typedef void (*duckdb_scalar_call)(duckdb_function_info, duckdb_data_chunk, duckdb_vector);

#define API_PLACES 307 /* of the table, up to the last function used here */
extern const void *duckdb_api[API_PLACES];
#define API(place, result, parameters) ((result(*) parameters)duckdb_api[place])

#define duckdb_connect API(3, duckdb_state, (duckdb_database, duckdb_connection *))
#define duckdb_disconnect API(6, void, (duckdb_connection *))
#define duckdb_query API(13, duckdb_state, (duckdb_connection, const char *, duckdb_result *))
#define duckdb_destroy_result API(14, void, (duckdb_result *))
#define duckdb_free API(25, void, (void *))
#define duckdb_create_logical_type API(156, duckdb_logical_type, (int))
#define duckdb_create_list_type API(159, duckdb_logical_type, (duckdb_logical_type))
#define duckdb_create_map_type \
    API(161, duckdb_logical_type, (duckdb_logical_type, duckdb_logical_type))
#define duckdb_create_struct_type \
    API(163, duckdb_logical_type, (duckdb_logical_type *, const char **, idx_t))
#define duckdb_get_type_id API(166, int, (duckdb_logical_type))
#define duckdb_decimal_width API(167, uint8_t, (duckdb_logical_type))
#define duckdb_decimal_scale API(168, uint8_t, (duckdb_logical_type))
#define duckdb_decimal_internal_type API(169, int, (duckdb_logical_type))
#define duckdb_enum_internal_type API(170, int, (duckdb_logical_type))
#define duckdb_enum_dictionary_size API(171, uint32_t, (duckdb_logical_type))
#define duckdb_enum_dictionary_value API(172, char *, (duckdb_logical_type, idx_t))
#define duckdb_list_type_child_type API(173, duckdb_logical_type, (duckdb_logical_type))
#define duckdb_array_type_child_type API(174, duckdb_logical_type, (duckdb_logical_type))
#define duckdb_array_type_array_size API(175, idx_t, (duckdb_logical_type))
#define duckdb_map_type_key_type API(176, duckdb_logical_type, (duckdb_logical_type))
#define duckdb_map_type_value_type API(177, duckdb_logical_type, (duckdb_logical_type))
#define duckdb_struct_type_child_count API(178, idx_t, (duckdb_logical_type))
#define duckdb_struct_type_child_name API(179, char *, (duckdb_logical_type, idx_t))
#define duckdb_struct_type_child_type API(180, duckdb_logical_type, (duckdb_logical_type, idx_t))
#define duckdb_destroy_logical_type API(184, void, (duckdb_logical_type *))
#define duckdb_destroy_data_chunk API(187, void, (duckdb_data_chunk *))
#define duckdb_data_chunk_get_column_count API(189, idx_t, (duckdb_data_chunk))
#define duckdb_data_chunk_get_vector API(190, duckdb_vector, (duckdb_data_chunk, idx_t))
#define duckdb_data_chunk_get_size API(191, idx_t, (duckdb_data_chunk))
#define duckdb_vector_get_column_type API(193, duckdb_logical_type, (duckdb_vector))
#define duckdb_vector_get_data API(194, void *, (duckdb_vector))
#define duckdb_vector_get_validity API(195, uint64_t *, (duckdb_vector))
#define duckdb_vector_ensure_validity_writable API(196, void, (duckdb_vector))
#define duckdb_vector_assign_string_element_len \
    API(198, void, (duckdb_vector, idx_t, const char *, idx_t))
#define duckdb_list_vector_get_child API(199, duckdb_vector, (duckdb_vector))
#define duckdb_list_vector_set_size API(201, duckdb_state, (duckdb_vector, idx_t))
#define duckdb_list_vector_reserve API(202, duckdb_state, (duckdb_vector, idx_t))
#define duckdb_struct_vector_get_child API(203, duckdb_vector, (duckdb_vector, idx_t))
#define duckdb_array_vector_get_child API(204, duckdb_vector, (duckdb_vector))
#define duckdb_create_scalar_function API(209, duckdb_scalar_function, (void))
#define duckdb_destroy_scalar_function API(210, void, (duckdb_scalar_function *))
#define duckdb_scalar_function_set_name API(211, void, (duckdb_scalar_function, const char *))
#define duckdb_scalar_function_set_varargs \
    API(212, void, (duckdb_scalar_function, duckdb_logical_type))
#define duckdb_scalar_function_set_special_handling API(213, void, (duckdb_scalar_function))
#define duckdb_scalar_function_set_volatile API(214, void, (duckdb_scalar_function))
#define duckdb_scalar_function_add_parameter \
    API(215, void, (duckdb_scalar_function, duckdb_logical_type))
#define duckdb_scalar_function_set_return_type \
    API(216, void, (duckdb_scalar_function, duckdb_logical_type))
#define duckdb_scalar_function_set_extra_info \
    API(217, void, (duckdb_scalar_function, void *, void (*)(void *)))
#define duckdb_scalar_function_set_function \
    API(218, void, (duckdb_scalar_function, duckdb_scalar_call))
#define duckdb_register_scalar_function \
    API(219, duckdb_state, (duckdb_connection, duckdb_scalar_function))
#define duckdb_scalar_function_get_extra_info API(220, void *, (duckdb_function_info))
#define duckdb_scalar_function_set_error API(221, void, (duckdb_function_info, const char *))
#define duckdb_fetch_chunk API(306, duckdb_data_chunk, (duckdb_result))

#endif
