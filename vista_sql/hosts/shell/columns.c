#include "columns.h"

#include <stdlib.h>
#include <string.h>

enum nulls { NO_NULLS, SOME_NULLS, ALL_NULL };

struct range { /* rows of a vector that one node is made of */
    idx_t start, n;
};

struct rows {
    const struct range *ranges;
    idx_t n_ranges, n;
    const uint64_t *outer; /* rows that the struct around is not NULL in; NULL: all */
};

static bool is_valid(const uint64_t *bits, idx_t row) {
    return !bits || (bits[row / 64] >> (row % 64) & 1);
}

/* Return the bytes of one value; 0 where the type is no plain number. */
static size_t width_of(int id, duckdb_logical_type type) {
    switch (id) {
        case DECIMAL: return width_of(duckdb_decimal_internal_type(type), NULL);
        case ENUM: return width_of(duckdb_enum_internal_type(type), NULL);
        case BOOLEAN: case TINYINT: case UTINYINT: return 1;
        case SMALLINT: case USMALLINT: return 2;
        case INTEGER: case UINTEGER: case FLOAT: case DATE: return 4;
        case BIGINT: case UBIGINT: case DOUBLE: case TIMESTAMP: case TIMESTAMP_S:
        case TIMESTAMP_MS: case TIMESTAMP_NS: case TIMESTAMP_TZ: case TIME: return 8;
        case HUGEINT: case UUID: case INTERVAL: return 16;
        default: return 0;
    }
}

static void describe_part(struct text *text, duckdb_logical_type type) {
    text_add(text, ",", 1);
    describe(text, type);
    duckdb_destroy_logical_type(&type);
}

void describe(struct text *text, duckdb_logical_type type) {
    int id = duckdb_get_type_id(type);
    text_print(text, "[%d", id);
    if (id == DECIMAL)
        text_print(text, ",%d,%d,%d", duckdb_decimal_internal_type(type),
                   duckdb_decimal_width(type), duckdb_decimal_scale(type));
    if (id == ENUM) {
        text_print(text, ",%d", duckdb_enum_internal_type(type));
        for (uint32_t i = 0; i < duckdb_enum_dictionary_size(type); i++) {
            char *value = duckdb_enum_dictionary_value(type, i);
            text_add(text, ",", 1);
            text_add_json(text, value);
            duckdb_free(value);
        }
    }
    if (id == ARRAY)
        text_print(text, ",%llu", (unsigned long long)duckdb_array_type_array_size(type));
    if (id == LIST) describe_part(text, duckdb_list_type_child_type(type));
    if (id == ARRAY) describe_part(text, duckdb_array_type_child_type(type));
    if (id == MAP) {
        describe_part(text, duckdb_map_type_key_type(type));
        describe_part(text, duckdb_map_type_value_type(type));
    }
    if (id == STRUCT) {
        for (idx_t i = 0; i < duckdb_struct_type_child_count(type); i++) {
            char *name = duckdb_struct_type_child_name(type, i);
            text_add(text, ",", 1);
            text_add_json(text, name);
            describe_part(text, duckdb_struct_type_child_type(type, i));
            duckdb_free(name);
        }
    }
    text_add(text, "]", 1);
}

/* ── out ──────────────────────────────────────────────────────────────────────────────────── */

static bool put_padding(struct call *call, uint64_t n) {
    static const char zeros[8];
    return put(call, zeros, (8 - n % 8) % 8);
}

/* Return the bitmap of a node's rows, to be freed; NULL: none is NULL, or no memory (noted). */
static uint64_t *bitmap_of(struct call *call, duckdb_vector vector, const struct rows *rows) {
    const uint64_t *own = duckdb_vector_get_validity(vector);
    if ((!own && !rows->outer) || rows->n == 0) return NULL;
    uint64_t *bits = calloc((rows->n + 63) / 64, 8);
    if (!bits) {
        failed(call, "vista: out of memory");
        return NULL;
    }
    idx_t at = 0, n_valid = 0;
    for (idx_t r = 0; r < rows->n_ranges; r++)
        for (idx_t i = 0; i < rows->ranges[r].n; i++, at++)
            if (is_valid(own, rows->ranges[r].start + i) && is_valid(rows->outer, at)) {
                bits[at / 64] |= (uint64_t)1 << (at % 64);
                n_valid++;
            }
    if (n_valid == rows->n) {
        free(bits);
        return NULL;
    }
    return bits;
}

static bool put_strings(struct call *call, duckdb_vector vector, const struct rows *rows,
                        const uint64_t *bits) {
    const duckdb_string_t *strings = duckdb_vector_get_data(vector);
    for (int bytes = 0; bytes < 2; bytes++) { /* first the offsets, then the bytes */
        uint64_t offset = 0;
        idx_t at = 0;
        if (!bytes && !put_u64(call, 0)) return false;
        for (idx_t r = 0; r < rows->n_ranges; r++)
            for (idx_t i = 0; i < rows->ranges[r].n; i++, at++) {
                const duckdb_string_t *string = strings + rows->ranges[r].start + i;
                uint32_t n = is_valid(bits, at) ? string->inlined.length : 0;
                offset += n;
                if (!bytes) {
                    if (!put_u64(call, offset)) return false;
                } else if (n && !put(call, n <= 12 ? string->inlined.data : string->pointer.data, n)) {
                    return false;
                }
            }
        if (bytes && !put_padding(call, offset)) return false;
    }
    return true;
}

static bool put_node(struct call *, duckdb_vector, duckdb_logical_type, const struct rows *);

static bool put_elements(struct call *call, duckdb_vector child, const struct rows *rows) {
    duckdb_logical_type type = duckdb_vector_get_column_type(child);
    bool fine = put_node(call, child, type, rows);
    duckdb_destroy_logical_type(&type);
    return fine;
}

static bool put_lists(struct call *call, duckdb_vector vector, const struct rows *rows,
                      const uint64_t *bits) {
    const duckdb_list_entry *entries = duckdb_vector_get_data(vector);
    struct range *ranges = malloc((rows->n + 1) * sizeof *ranges);
    if (!ranges) return failed(call, "vista: out of memory");
    struct rows elements = {ranges, 0, 0, NULL};
    bool fine = put_u64(call, 0);
    idx_t at = 0;
    for (idx_t r = 0; r < rows->n_ranges && fine; r++)
        for (idx_t i = 0; i < rows->ranges[r].n && fine; i++, at++) {
            duckdb_list_entry entry = entries[rows->ranges[r].start + i];
            if (is_valid(bits, at) && entry.length) {
                struct range *last = ranges + elements.n_ranges - 1;
                if (elements.n_ranges && last->start + last->n == entry.offset)
                    last->n += entry.length;
                else
                    ranges[elements.n_ranges++] = (struct range){entry.offset, entry.length};
                elements.n += entry.length;
            }
            fine = put_u64(call, elements.n);
        }
    fine = fine && put_elements(call, duckdb_list_vector_get_child(vector), &elements);
    free(ranges);
    return fine;
}

static bool put_arrays(struct call *call, duckdb_vector vector, duckdb_logical_type type,
                       const struct rows *rows) {
    idx_t size = duckdb_array_type_array_size(type);
    struct range *ranges = malloc((rows->n_ranges + 1) * sizeof *ranges);
    if (!ranges) return failed(call, "vista: out of memory");
    for (idx_t r = 0; r < rows->n_ranges; r++)
        ranges[r] = (struct range){rows->ranges[r].start * size, rows->ranges[r].n * size};
    struct rows elements = {ranges, rows->n_ranges, rows->n * size, NULL};
    bool fine = put_elements(call, duckdb_array_vector_get_child(vector), &elements);
    free(ranges);
    return fine;
}

static bool put_fields(struct call *call, duckdb_vector vector, duckdb_logical_type type,
                       const struct rows *rows, const uint64_t *bits) {
    struct rows inner = {rows->ranges, rows->n_ranges, rows->n, bits};
    bool fine = true;
    for (idx_t i = 0; i < duckdb_struct_type_child_count(type) && fine; i++)
        fine = put_elements(call, duckdb_struct_vector_get_child(vector, i), &inner);
    return fine;
}

static bool put_node(struct call *call, duckdb_vector vector, duckdb_logical_type type,
                     const struct rows *rows) {
    int id = duckdb_get_type_id(type);
    size_t width = width_of(id, type);
    bool known = width || id == VARCHAR || id == BLOB || id == LIST || id == MAP || id == ARRAY ||
                 id == STRUCT;
    if (!known) return put_u64(call, ALL_NULL); /* the worker knows the types that do not travel */
    uint64_t *bits = bitmap_of(call, vector, rows);
    if (call->error[0]) return false;
    bool fine = put_u64(call, bits ? SOME_NULLS : NO_NULLS) &&
                (!bits || put(call, bits, (rows->n + 63) / 64 * 8));
    if (width) {
        const char *values = duckdb_vector_get_data(vector);
        for (idx_t r = 0; r < rows->n_ranges && fine; r++)
            fine = put(call, values + rows->ranges[r].start * width, rows->ranges[r].n * width);
        fine = fine && put_padding(call, rows->n * width);
    } else if (id == VARCHAR || id == BLOB) {
        fine = fine && put_strings(call, vector, rows, bits);
    } else if (id == LIST || id == MAP) {
        fine = fine && put_lists(call, vector, rows, bits);
    } else if (id == ARRAY) {
        fine = fine && put_arrays(call, vector, type, rows);
    } else {
        fine = fine && put_fields(call, vector, type, rows, bits);
    }
    free(bits);
    return fine;
}

bool put_column(struct call *call, duckdb_vector vector, idx_t n_rows) {
    struct range all = {0, n_rows};
    struct rows rows = {&all, 1, n_rows, NULL};
    return put_elements(call, vector, &rows);
}

/* ── in ───────────────────────────────────────────────────────────────────────────────────── */

static bool take_padding(struct call *call, uint64_t n) {
    char zeros[8];
    return take(call, zeros, (8 - n % 8) % 8);
}

static bool take_strings(struct call *call, duckdb_vector vector, idx_t n_rows) {
    int64_t *offsets = malloc((n_rows + 1) * 8);
    if (!offsets) return failed(call, "vista: out of memory");
    bool fine = take(call, offsets, (n_rows + 1) * 8);
    for (idx_t row = 0; row < n_rows && fine; row++) {
        uint64_t n = (uint64_t)(offsets[row + 1] - offsets[row]);
        char *bytes = scratch(call, n + 1);
        fine = bytes && take(call, bytes, n);
        if (fine) duckdb_vector_assign_string_element_len(vector, row, bytes, n);
    }
    fine = fine && take_padding(call, (uint64_t)offsets[n_rows]);
    free(offsets);
    return fine;
}

static bool take_lists(struct call *call, duckdb_vector vector, idx_t n_rows) {
    int64_t *offsets = malloc((n_rows + 1) * 8);
    if (!offsets) return failed(call, "vista: out of memory");
    bool fine = take(call, offsets, (n_rows + 1) * 8);
    if (fine) {
        idx_t n = (idx_t)offsets[n_rows];
        duckdb_list_entry *entries = duckdb_vector_get_data(vector);
        for (idx_t row = 0; row < n_rows; row++)
            entries[row] = (duckdb_list_entry){(uint64_t)offsets[row],
                                               (uint64_t)(offsets[row + 1] - offsets[row])};
        if (duckdb_list_vector_reserve(vector, n) || duckdb_list_vector_set_size(vector, n))
            fine = failed(call, "vista: DuckDB has no memory for %llu values",
                          (unsigned long long)n);
        fine = fine && take_column(call, duckdb_list_vector_get_child(vector), n);
    }
    free(offsets);
    return fine;
}

bool take_column(struct call *call, duckdb_vector vector, idx_t n_rows) {
    duckdb_logical_type type = duckdb_vector_get_column_type(vector);
    int id = duckdb_get_type_id(type);
    size_t width = width_of(id, type), n_bitmap = (n_rows + 63) / 64 * 8;
    uint64_t nulls = NO_NULLS;
    bool fine = take_u64(call, &nulls);
    if (fine && nulls != NO_NULLS && n_rows) {
        duckdb_vector_ensure_validity_writable(vector);
        uint64_t *bits = duckdb_vector_get_validity(vector);
        if (nulls == SOME_NULLS) fine = take(call, bits, n_bitmap);
        else memset(bits, 0, n_bitmap);
    }
    if (!fine || nulls == ALL_NULL) {
        if (id == LIST || id == MAP) memset(duckdb_vector_get_data(vector), 0, n_rows * 16);
    } else if (width) {
        fine = take(call, duckdb_vector_get_data(vector), n_rows * width) &&
               take_padding(call, n_rows * width);
    } else if (id == VARCHAR || id == BLOB) {
        fine = take_strings(call, vector, n_rows);
    } else if (id == LIST || id == MAP) {
        fine = take_lists(call, vector, n_rows);
    } else if (id == STRUCT) {
        idx_t n = duckdb_struct_type_child_count(type);
        for (idx_t i = 0; i < n && fine; i++)
            fine = take_column(call, duckdb_struct_vector_get_child(vector, i), n_rows);
    } else {
        fine = failed(call, "vista: the worker's reply has a type that cannot be (%d)", id);
    }
    duckdb_destroy_logical_type(&type);
    return fine;
}

/* ── types ────────────────────────────────────────────────────────────────────────────────── */

duckdb_logical_type read_type(const char **form) {
    duckdb_logical_type made = NULL, parts[2] = {NULL, NULL};
    char kind = **form;
    if (kind == '[') {
        ++*form;
        parts[0] = read_type(form);
        made = duckdb_create_list_type(parts[0]);
    } else if (kind == '(') {
        ++*form;
        parts[0] = read_type(form);
        parts[1] = read_type(form);
        made = duckdb_create_map_type(parts[0], parts[1]);
    } else if (kind == '{') {
        size_t n = 0, room = strlen(*form); /* more than there can be */
        duckdb_logical_type *types = calloc(room, sizeof *types);
        char **names = calloc(room, sizeof *names);
        for (++*form; **form != '}'; n++) {
            size_t length = strcspn(*form, "=");
            names[n] = calloc(length + 1, 1);
            memcpy(names[n], *form, length);
            *form += length + 1;
            types[n] = read_type(form);
        }
        ++*form;
        made = duckdb_create_struct_type(types, (const char **)names, n);
        while (n--) {
            duckdb_destroy_logical_type(&types[n]);
            free(names[n]);
        }
        free(types);
        free(names);
    } else {
        char *end;
        made = duckdb_create_logical_type((int)strtol(*form, &end, 10));
        *form = end + 1;
    }
    for (int i = 0; i < 2; i++)
        if (parts[i]) duckdb_destroy_logical_type(&parts[i]);
    return made;
}
