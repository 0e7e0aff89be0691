/* codec/object_rewrite.c - what a previous object serves where a chunk lies.
 *
 * A value whose bits are written back as they were served must keep them, for
 * ever: then loss cannot spread, however often a file is rewritten.  So each
 * chunk of a rewritten file is held against what the previous object serves at
 * the same bytes of the file. */
#include "codec/object_internal.h"

static bool
same_shape(const struct shape *a, const struct shape *b)
{
        if (a->ndim != b->ndim)
                return false;
        for (unsigned i = 0; i < a->ndim; i++)
                if (a->extent[i] != b->extent[i])
                        return false;
        return true;
}

/* Finds the chunk of PREVIOUS that can stand for the chunk at PLACE. */
static bool
find_twin(const struct object *previous, const struct chunk_place *place, size_t *index)
{
        struct chunk_place there;

        if (place->offset >= previous->index.logical_bytes)
                return false;
        *index = index_chunk_at(&previous->index, place->offset);
        index_chunk_place(&previous->index, *index, &there);
        return there.offset == place->offset && there.length == place->length &&
               there.made == NPY_OTHER && there.geometry.dtype == place->geometry.dtype &&
               there.geometry.big_endian == place->geometry.big_endian &&
               there.geometry.scope == place->geometry.scope &&
               same_shape(&there.geometry.shape, &place->geometry.shape);
}

/* Fills SERVED with what PREVIOUS serves of the chunk's bytes and KNOWN with 1 where
 * it could: a damaged chunk serves nothing, nor does one whose key is lost.  Other
 * failures are failures. */
static enum caefs_err
read_served(const struct object *previous, const struct chunk_place *place,
            struct arena *arena, uint8_t *served, uint8_t *known)
{
        uint64_t end = place->offset + place->length;

        if (end > previous->index.logical_bytes)
                end = previous->index.logical_bytes;
        for (uint64_t at = place->offset; at < end;) {
                size_t             index = index_chunk_at(&previous->index, at);
                struct chunk_place there;
                index_chunk_place(&previous->index, index, &there);

                struct arena_mark mark = arena_mark(arena);
                uint8_t          *buffer = arena_alloc(arena, (size_t) there.length);
                if (buffer == NULL)
                        return caefs_fail(CAEFS_ERR_NOMEM, "no memory for a previous chunk");
                enum caefs_err err = object_read_chunk(previous, index, arena, buffer);
                uint64_t       skip = at - there.offset;
                uint64_t       part = there.length - skip;
                if (part > end - at)
                        part = end - at;
                if (err == CAEFS_OK) {
                        memcpy(served + (at - place->offset), buffer + skip, (size_t) part);
                        memset(known + (at - place->offset), 1, (size_t) part);
                }
                arena_release(arena, mark);
                bool lost = err == CAEFS_ERR_CORRUPT
                        || (err == CAEFS_ERR_MODEL && previous->info.key != 0
                            && previous->key == NULL);
                if (err != CAEFS_OK && !lost)
                        return err;
                at += part;
        }
        return CAEFS_OK;
}

/* Marks in KEEP (n values of WIDTH bytes) those that are as served; the others. */
static uint64_t
mark_kept(const uint8_t *raw, const uint8_t *served, const uint8_t *known, size_t n,
          unsigned width, uint8_t *keep)
{
        uint64_t changed = 0;

        for (size_t i = 0; i < n; i++) {
                const uint8_t *k = known + i * width;
                keep[i] = memchr(k, 0, width) == NULL &&
                          memcmp(raw + i * width, served + i * width, width) == 0;
                changed += !keep[i];
        }
        return changed;
}

enum caefs_err
old_chunk_find(const struct object *previous, const struct chunk_place *place,
               const uint8_t *raw, struct arena *arena, struct old_chunk *out)
{
        unsigned width = dtype_size(place->geometry.dtype);
        size_t   length = (size_t) place->length;

        *out = (struct old_chunk) { .changed = length / width };
        if (previous == NULL || place->offset >= previous->index.logical_bytes)
                return CAEFS_OK;
        out->twin = find_twin(previous, place, &out->index);
        if (out->twin)
                out->family = previous->index.chunk_table[out->index].family;
        uint8_t *served = arena_alloc(arena, length);
        uint8_t *known = arena_alloc(arena, length);
        uint8_t *keep = arena_alloc(arena, length / width);
        if (served == NULL || known == NULL || keep == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory to compare with what was served");
        memset(known, 0, length);
        enum caefs_err err = read_served(previous, place, arena, served, known);
        if (err != CAEFS_OK)
                return err;
        out->changed = mark_kept(raw, served, known, length / width, width, keep);
        out->same = out->twin && out->changed == 0;
        if (out->changed < length / width)
                out->keep = keep;
        return CAEFS_OK;
}
