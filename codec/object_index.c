/* codec/object_index.c - the index of an object, as bytes and back.
 *
 * Reading trusts nothing: each count is held against the bytes that are there
 * before memory is asked for, since whatever an index lists takes at least a
 * byte of it. */
#include "codec/object_index.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "codec/amount.h"

const uint8_t object_magic[OBJECT_MAGIC_SIZE] = { 0xca, 0xef, OBJECT_VERSION };

/* First byte. */
enum {
        MODE_MASK = 0x07,
        SCOPE_SHIFT = 3,
        SCOPE_MASK = 0x03,
        HAS_NEEDS = 0x20,               /* a byte of what it needs follows */
        HAS_WORST = 0x40,
        HAS_FAMILIES = 0x80,            /* chunks are of several families */
};

/* Second byte. */
enum {
        ENTRIES_MASK = 0x07,            /* ENTRIES_MORE: a varint follows */
        ENTRIES_MORE = 7,
        HAS_CHUNK = 0x08,               /* some region is more than one chunk */
        FAMILY_SHIFT = 4,
};

/* What an object needs that it does not hold. */
enum {
        NEEDS_MODEL = 0x01,
        NEEDS_KEY = 0x02,
};

/* First byte of an entry. */
enum {
        ENTRY_DTYPE_MASK = 0x0f,
        ENTRY_BIG_ENDIAN = 0x10,
        ENTRY_PADDING_SHIFT = 5,
        ENTRY_PADDING_MASK = 0x03,
        ENTRY_FORTRAN = 0x80,
};

/* Bytes that a chunk takes in the table at least: its checksum. */
#define CHUNK_ROW_MIN 4

void
index_free(struct index *x)
{
        free(x->region);
        free(x->chunk_table);
        *x = (struct index) { 0 };
}

/* ---- planning -------------------------------------------------------------- */

/* Cuts all regions for chunks of CHUNK bytes; the number of chunks, or
 * UINT64_MAX when it is beyond all limits. */
static uint64_t
cut_all(struct index *x, uint64_t chunk)
{
        uint64_t total = 0;

        x->chunk = chunk;
        for (size_t i = 0; i < x->nregions; i++) {
                struct index_region *r = &x->region[i];
                uint64_t             n = 1;
                if (r->made == NPY_OTHER) {
                        cut_region(&r->region, x->scope, chunk, &r->cut);
                        n = cut_count(&r->cut);
                }
                r->first_chunk = total;
                if (n > OBJECT_MAX_CHUNKS || total > OBJECT_MAX_CHUNKS)
                        return UINT64_MAX;
                total += n;
        }
        return total;
}

/* Regions lie one after another; where the last one ends is the file's size. */
static enum caefs_err
allocate_chunks(struct index *x, uint64_t nchunks)
{
        if (nchunks > OBJECT_MAX_CHUNKS)
                return caefs_fail(CAEFS_ERR_LIMIT, "more than %" PRIu64 " chunks",
                                  OBJECT_MAX_CHUNKS);
        x->nchunks = (size_t) nchunks;
        x->chunk_table = calloc(x->nchunks + 1, sizeof *x->chunk_table);
        if (x->chunk_table == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for the index of %zu chunks",
                                  x->nchunks);
        x->chunk_table[0].start = OBJECT_MAGIC_SIZE;
        return CAEFS_OK;
}

enum caefs_err
index_plan(struct index *x, const struct layout *l, const enum npy_padding *made)
{
        uint64_t chunk = (x->chunk + CHUNK_UNIT - 1) / CHUNK_UNIT * CHUNK_UNIT;

        if (l->nregions > OBJECT_MAX_REGIONS)
                return caefs_fail(CAEFS_ERR_LIMIT, "a file of more than %d regions",
                                  OBJECT_MAX_REGIONS);
        x->region = calloc(l->nregions + 1, sizeof *x->region);
        if (x->region == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for %zu regions", l->nregions);
        x->nregions = l->nregions;
        for (size_t i = 0; i < l->nregions; i++) {
                x->region[i].region = l->region[i];
                x->region[i].made = made[i];
                x->logical_bytes += l->region[i].length;
        }
        if (chunk < CHUNK_UNIT)
                chunk = CHUNK_UNIT;
        if (chunk > CHUNK_MAX)
                chunk = CHUNK_MAX;
        uint64_t nchunks = cut_all(x, chunk);
        while (nchunks > OBJECT_MAX_CHUNKS && chunk < CHUNK_MAX) {
                chunk *= 2;
                nchunks = cut_all(x, chunk < CHUNK_MAX ? chunk : CHUNK_MAX);
        }
        /* The size goes without saying where nothing is cut. */
        chunk = x->chunk;
        if (cut_all(x, CHUNK_MAX) != nchunks)
                cut_all(x, chunk);
        return allocate_chunks(x, nchunks);
}

/* ---- numbers ---------------------------------------------------------------- */

/* The upper 16 of the 63 bits that a double without sign has: 5 of mantissa. */
#define SMALL_SHIFT 47
#define SMALL_INFINITY 0xffe0

static uint16_t
small_float(double v)
{
        uint64_t bits;

        memcpy(&bits, &v, sizeof bits);
        return (uint16_t) ((bits + ((uint64_t) 1 << SMALL_SHIFT) - 1) >> SMALL_SHIFT);
}

static double
from_small_float(uint16_t small)
{
        uint64_t bits = (uint64_t) small << SMALL_SHIFT;
        double   v;

        memcpy(&v, &bits, sizeof v);
        return v;
}

/* ---- writing ---------------------------------------------------------------- */

static void
put_entry(struct bytes *out, const struct region *r, enum npy_padding made)
{
        bytes_put_u8(out, (uint8_t) (r->dtype | (r->big_endian ? ENTRY_BIG_ENDIAN : 0) |
                                     (unsigned) made << ENTRY_PADDING_SHIFT |
                                     (r->fortran ? ENTRY_FORTRAN : 0)));
        if (r->dtype == DTYPE_BYTES) {
                bytes_put_varint(out, r->length);
                return;
        }
        bytes_put_u8(out, (uint8_t) r->shape.ndim);
        for (unsigned i = 0; i < r->shape.ndim; i++)
                bytes_put_varint(out, r->shape.extent[i]);
}

/* A header that is made again is part of the entry of its values. */
static void
put_entries(struct bytes *out, const struct index *x)
{
        for (size_t i = 0; i < x->nregions; i++)
                if (x->region[i].made == NPY_OTHER)
                        put_entry(out, &x->region[i].region,
                                  i == 0 ? NPY_OTHER : x->region[i - 1].made);
}

static size_t
count_entries(const struct index *x)
{
        size_t n = 0;

        for (size_t i = 0; i < x->nregions; i++)
                n += x->region[i].made == NPY_OTHER;
        return n;
}

/* True when chunk I is the header that is made again; walks *REGION forward. */
static bool
chunk_is_made(const struct index *x, size_t i, size_t *region)
{
        while (*region + 1 < x->nregions && x->region[*region + 1].first_chunk <= i)
                ++*region;
        return x->region[*region].made != NPY_OTHER;
}

/* The one family of all stored chunks; -1 when they have several. */
static int
common_family(const struct index *x)
{
        size_t region = 0;
        int    family = -1;

        for (size_t i = 0; i < x->nchunks; i++) {
                if (chunk_is_made(x, i, &region))
                        continue;
                if (family >= 0 && x->chunk_table[i].family != family)
                        return -1;
                family = x->chunk_table[i].family;
        }
        return family < 0 ? 0 : family;
}

static void
put_chunk_table(struct bytes *out, const struct index *x, bool families)
{
        size_t region = 0;

        for (size_t i = 0; i < x->nchunks; i++) {
                const struct index_chunk *chunk = &x->chunk_table[i];
                if (chunk_is_made(x, i, &region))
                        continue;
                if (i + 1 < x->nchunks)         /* what is left is the last one's */
                        bytes_put_varint(out, chunk[1].start - chunk->start);
                if (families)
                        bytes_put_u8(out, chunk->family);
                bytes_put_u32(out, chunk->checksum);
        }
}

static unsigned
needs_of(const struct index *x)
{
        return (x->model_hash != 0 ? NEEDS_MODEL : 0) | (x->key != 0 ? NEEDS_KEY : 0);
}

static void
put_needs(struct bytes *out, const struct index *x)
{
        if (needs_of(x) == 0)
                return;
        bytes_put_u8(out, (uint8_t) needs_of(x));
        if (x->model_hash != 0)
                bytes_put_u64(out, x->model_hash);
        if (x->key != 0)
                bytes_put_u64(out, x->key);
}

static void
put_index(struct bytes *out, const struct index *x)
{
        int    family = common_family(x);
        size_t entries = count_entries(x);
        bool   cut = x->chunk != CHUNK_MAX;

        bytes_put_u8(out, (uint8_t) (x->bound.mode | (unsigned) x->scope << SCOPE_SHIFT |
                                     (needs_of(x) != 0 ? HAS_NEEDS : 0) |
                                     (x->worst_known ? HAS_WORST : 0) |
                                     (family < 0 ? HAS_FAMILIES : 0)));
        bytes_put_u8(out, (uint8_t) ((entries < ENTRIES_MORE ? entries : ENTRIES_MORE) |
                                     (cut ? HAS_CHUNK : 0) |
                                     (family < 0 ? 0 : (unsigned) family << FAMILY_SHIFT)));
        if (entries >= ENTRIES_MORE)
                bytes_put_varint(out, entries);
        if (x->bound.mode != BOUND_LOSSLESS)
                amount_write(out, x->bound.amount);
        put_needs(out, x);
        if (x->worst_known) {
                bytes_put_u16(out, small_float(x->worst));
                bytes_put_u8(out, (uint8_t) ceil(fmin(x->worst_over_bound, 1) * 255));
        }
        if (cut)
                bytes_put_varint(out, x->chunk / CHUNK_UNIT);
        put_entries(out, x);
        put_chunk_table(out, x, family < 0);
}

enum caefs_err
index_write(const struct index *x, struct bytes *out)
{
        struct bytes index = { 0 };

        put_index(&index, x);
        bytes_put(out, index.data, index.size);
        if (!index.failed)
                trailer_write(index.data, index.size,
                              x->chunk_table[x->nchunks].start + index.size, out);
        bool failed = index.failed || out->failed;
        bool large = index.size > OBJECT_INDEX_MAX;
        bytes_free(&index);
        if (large)
                return caefs_fail(CAEFS_ERR_LIMIT, "the index would take more than %zu bytes",
                                  OBJECT_INDEX_MAX);
        return failed ? caefs_fail(CAEFS_ERR_NOMEM, "no memory to write an index") : CAEFS_OK;
}

/* ---- the trailer ------------------------------------------------------------ */

uint64_t
index_identity(const void *index, size_t size, uint64_t total)
{
        return XXH3_64bits_withSeed(index, size, total);
}

/* The size as a varint whose first byte comes last: found from the object's end. */
static size_t
backward_varint(uint64_t v, uint8_t out[10])
{
        uint8_t forward[10];
        size_t  n = 0;

        for (; v >= 0x80; v >>= 7)
                forward[n++] = (uint8_t) (v | 0x80);
        forward[n++] = (uint8_t) v;
        for (size_t i = 0; i < n; i++)
                out[i] = forward[n - 1 - i];
        return n;
}

void
trailer_write(const void *index, size_t size, uint64_t total_before, struct bytes *out)
{
        uint8_t digits[10];
        size_t  n = backward_varint(size, digits);

        bytes_put_u32(out, (uint32_t) index_identity(index, size, total_before + 4 + n));
        bytes_put(out, digits, n);
}

enum caefs_err
trailer_parse(const uint8_t *tail, size_t n, uint64_t *index_size, size_t *trailer_size,
              uint32_t *checksum)
{
        uint64_t size = 0;

        for (size_t i = 0; i < 10 && i < n; i++) {
                uint8_t byte = tail[n - 1 - i];
                size |= (uint64_t) (byte & 0x7f) << (7 * i);
                if (byte >= 0x80)
                        continue;
                if (size > OBJECT_INDEX_MAX || n - 1 - i < 4)
                        break;
                struct cursor c = cursor_of(tail + n - 1 - i - 4, 4);
                *checksum = cursor_u32(&c);
                *index_size = size;
                *trailer_size = i + 1 + 4;
                return CAEFS_OK;
        }
        return caefs_fail(CAEFS_ERR_CORRUPT, "the end of the object is damaged or missing");
}

/* ---- reading ---------------------------------------------------------------- */

static enum caefs_err
bad_index(const char *what)
{
        return caefs_fail(CAEFS_ERR_CORRUPT, "the index of the object is damaged: %s", what);
}

/* Adds a region where the last one ended. */
static struct index_region *
append_region(struct index *x, const struct region *like, uint64_t length)
{
        struct index_region *r = &x->region[x->nregions++];

        r->region = *like;
        r->region.offset = x->logical_bytes;
        r->region.length = length;
        x->logical_bytes += length;
        return r;
}

/* The header that is made again from values R, as a region before them. */
static bool
append_made_header(struct index *x, const struct region *values, enum npy_padding padding)
{
        struct npy_header   h = {
                .dtype = values->dtype,
                .big_endian = values->big_endian,
                .fortran = values->fortran,
                .shape = values->shape,
        };
        struct bytes        bytes = { 0 };
        const struct region opaque = { .dtype = DTYPE_BYTES };

        npy_write(&h, padding, &bytes);
        append_region(x, &opaque, bytes.size)->made = padding;
        bool ok = !bytes.failed;
        bytes_free(&bytes);
        return ok;
}

static enum caefs_err
parse_values(struct cursor *c, struct index *x, struct region *r, enum npy_padding padding)
{
        uint64_t length;

        r->shape.ndim = (unsigned) cursor_u8(c);
        if (r->shape.ndim > SHAPE_MAX_DIMENSIONS)
                return bad_index("too many dimensions");
        for (unsigned i = 0; i < r->shape.ndim; i++) {
                r->shape.extent[i] = cursor_varint(c);
                if (r->shape.extent[i] == 0)
                        return bad_index("an extent of nothing");
        }
        if (__builtin_mul_overflow(shape_count(&r->shape), dtype_size(r->dtype), &length) ||
            length == 0 || length > INT64_MAX - x->logical_bytes - NPY_HEADER_MAX)
                return bad_index("a shape too large");
        if (padding != NPY_OTHER && !append_made_header(x, r, padding))
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for a header");
        append_region(x, r, length);
        return CAEFS_OK;
}

static enum caefs_err
parse_entry(struct cursor *c, struct index *x)
{
        uint8_t       flags = cursor_u8(c);
        struct region r = {
                .dtype = (enum dtype) (flags & ENTRY_DTYPE_MASK),
                .big_endian = (flags & ENTRY_BIG_ENDIAN) != 0,
                .fortran = (flags & ENTRY_FORTRAN) != 0,
        };

        if (dtype_size(r.dtype) == 0)
                return bad_index("no such dtype");
        if (r.dtype != DTYPE_BYTES)
                return parse_values(c, x, &r, (enum npy_padding) (flags >> ENTRY_PADDING_SHIFT &
                                                                  ENTRY_PADDING_MASK));
        uint64_t length = cursor_varint(c);
        if (flags != DTYPE_BYTES || length == 0 || length > INT64_MAX - x->logical_bytes)
                return bad_index("an impossible region");
        append_region(x, &r, length);
        return CAEFS_OK;
}

static enum caefs_err
parse_entries(struct cursor *c, size_t entries, struct index *x)
{
        enum caefs_err err = CAEFS_OK;

        /* An entry takes at least two bytes and gives at most two regions. */
        if (entries > OBJECT_MAX_REGIONS || entries > cursor_left(c) / 2)
                return bad_index("too many regions");
        x->region = calloc(2 * entries + 1, sizeof *x->region);
        if (x->region == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for %zu regions", entries);
        for (size_t i = 0; i < entries && err == CAEFS_OK; i++)
                err = parse_entry(c, x);
        if (err == CAEFS_OK && c->failed)
                err = bad_index("it ends too early");
        return err;
}

/* The chunk table; PAYLOAD_END is where the last chunk ends in the object. */
static enum caefs_err
parse_chunk_table(struct cursor *c, uint64_t payload_end, bool families, int family,
                  struct index *x)
{
        size_t region = 0;

        for (size_t i = 0; i < x->nchunks; i++) {
                struct index_chunk *chunk = &x->chunk_table[i];
                chunk[1].start = chunk->start;
                if (chunk_is_made(x, i, &region))
                        continue;
                uint64_t left = payload_end - chunk->start;
                chunk[1].start += i + 1 < x->nchunks ? cursor_varint_max(c, left) : left;
                chunk->family = families ? cursor_u8(c) : (uint8_t) family;
                chunk->checksum = cursor_u32(c);
                if (chunk->family >= FAMILY_LIMIT)
                        return bad_index("no such family");
        }
        if (c->failed || cursor_left(c) != 0 || x->chunk_table[x->nchunks].start != payload_end)
                return bad_index("the chunk table does not fit");
        return CAEFS_OK;
}

/* What stands before the entries. */
static enum caefs_err
parse_properties(struct cursor *c, uint8_t flags, struct index *x)
{
        x->bound.mode = (enum bound_mode) (flags & MODE_MASK);
        x->scope = (enum scope) (flags >> SCOPE_SHIFT & SCOPE_MASK);
        if (x->bound.mode > BOUND_PSNR || x->scope > SCOPE_CHANNEL)
                return bad_index("no such bound");
        if (x->bound.mode != BOUND_LOSSLESS) {
                x->bound.amount = amount_parse(c);
                if (isnan(x->bound.amount))
                        return bad_index("a bound that is no bound");
        }
        if (flags & HAS_NEEDS) {
                unsigned needs = cursor_u8(c);
                if (needs == 0 || (needs & ~(NEEDS_MODEL | NEEDS_KEY)) != 0)
                        return bad_index("it needs something unknown");
                x->model_hash = needs & NEEDS_MODEL ? cursor_u64(c) : 0;
                x->key = needs & NEEDS_KEY ? cursor_u64(c) : 0;
        }
        if (flags & HAS_WORST) {
                uint16_t worst = cursor_u16(c);
                x->worst_known = true;
                x->worst = from_small_float(worst);
                x->worst_over_bound = cursor_u8(c) / 255.0;
                if (worst > SMALL_INFINITY)
                        return bad_index("an error that is no number");
        }
        return CAEFS_OK;
}

enum caefs_err
index_parse(const void *in, size_t size, uint64_t total, size_t trailer, struct index *x)
{
        struct cursor c = cursor_of(in, size);
        uint8_t       flags = cursor_u8(&c);
        uint8_t       more = cursor_u8(&c);
        uint64_t      entries = more & ENTRIES_MASK;

        *x = (struct index) { .chunk = CHUNK_MAX };
        if (entries == ENTRIES_MORE)
                entries = cursor_varint_max(&c, OBJECT_MAX_REGIONS);
        enum caefs_err err = parse_properties(&c, flags, x);
        if (err == CAEFS_OK && (more & HAS_CHUNK))
                x->chunk = cursor_varint_max(&c, CHUNK_MAX / CHUNK_UNIT) * CHUNK_UNIT;
        if (err == CAEFS_OK && (c.failed || x->chunk == 0))
                err = bad_index("it ends too early");
        if (err == CAEFS_OK)
                err = parse_entries(&c, (size_t) entries, x);
        if (err == CAEFS_OK) {
                uint64_t nchunks = cut_all(x, x->chunk);
                if (nchunks > entries + cursor_left(&c) / CHUNK_ROW_MIN)
                        err = bad_index("more chunks than rows");
                else
                        err = allocate_chunks(x, nchunks);
        }
        if (err == CAEFS_OK)
                err = parse_chunk_table(&c, total - trailer - size, (flags & HAS_FAMILIES) != 0,
                                        more >> FAMILY_SHIFT, x);
        if (err != CAEFS_OK)
                index_free(x);
        return err;
}

/* ---- looking up ------------------------------------------------------------- */

/* The last region for which KEY(region) <= VALUE; regions lie in order of both. */
static size_t
region_of_chunk(const struct index *x, uint64_t chunk)
{
        size_t low = 0, high = x->nregions;

        while (high - low > 1) {
                size_t middle = low + (high - low) / 2;
                if (x->region[middle].first_chunk <= chunk)
                        low = middle;
                else
                        high = middle;
        }
        return low;
}

void
index_chunk_place(const struct index *x, size_t chunk, struct chunk_place *p)
{
        *p = (struct chunk_place) { .region = region_of_chunk(x, chunk) };
        const struct index_region *r = &x->region[p->region];

        p->offset = r->region.offset;
        p->length = r->region.length;
        p->made = r->made;
        if (r->made != NPY_OTHER)
                return;
        uint64_t in_region = chunk - r->first_chunk;
        uint64_t offset;
        cut_chunk(&r->cut, in_region, &offset, &p->length, &p->geometry.shape);
        p->offset += offset;
        p->geometry.dtype = r->region.dtype;
        p->geometry.big_endian = r->region.big_endian;
        p->geometry.scope = r->cut.scope;
        if (r->cut.slice_is_column)
                p->column = in_region / r->cut.pieces /
                            (r->cut.slices / region_columns(&r->region));
}

size_t
index_chunk_at(const struct index *x, uint64_t offset)
{
        size_t low = 0, high = x->nregions;

        while (high - low > 1) {
                size_t middle = low + (high - low) / 2;
                if (x->region[middle].region.offset <= offset)
                        low = middle;
                else
                        high = middle;
        }
        const struct index_region *r = &x->region[low];
        if (r->made != NPY_OTHER)
                return (size_t) r->first_chunk;
        return (size_t) (r->first_chunk + cut_find(&r->cut, offset - r->region.offset));
}
