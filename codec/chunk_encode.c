/* codec/chunk_encode.c - choosing and proving the coding of one plane.
 *
 * Grids that suit the values are laid over the plane; every family that applies
 * predicts the integers of each and estimates its bits; the best few are coded in
 * full, with a patch for what the grid cannot hold.  The smallest is decoded and
 * compared.  What fails goes into its patch; if that makes it larger than the
 * next one, the next one is proved, and so on.  Exact storage is always among
 * them, so the search ends.
 */
#include <math.h>
#include <string.h>

#include "codec/chunk_search.h"
#include "codec/pack.h"
#include "codec/patch.h"
#include "codec/symbols.h"
#include "codec/value.h"

/* At EFFORT_MAX, planes of so many values are also coded without prediction: where
 * values repeat, mixing forecasts them better than their differences. */
#define AS_IT_IS_LIMIT ((size_t) 1 << 19)

/* ---- candidates ---- */

static struct candidate *
candidate_new(struct search *s, unsigned head, const struct lattice *l)
{
        struct candidate *c = &s->candidate[s->ncandidates++];

        *c = (struct candidate) { .head = head, .lattice = l };
        return c;
}

static enum caefs_err
add_field(struct search *s, const struct lattice *l, enum family number, bool as_it_is)
{
        const struct family_methods *family = family_by_number(number);
        struct field field = {
                .geometry = plane_field(s->plane, l->grid, l->ngrids),
                .grid = l->integers,
                .hole = l->holes ? l->hole : NULL,
                .as_it_is = as_it_is,
                .effort = s->options->effort,
        };

        if (family != NULL && !family->uses_reference)
                field.geometry.reference = NULL;
        if (l->again || family == NULL || (family->needs_model && s->plane->model == NULL)
            || (s->options->family != 0 && s->options->family != (int) number)
            || s->ncandidates == MAX_CANDIDATES || !family->applies(&field))
                return CAEFS_OK;
        unsigned head = number | (l->sign != NULL ? HEAD_SIGNS : 0)
                | (l->ngrids > 1 ? HEAD_GRIDS : 0);
        struct candidate *c = candidate_new(s, head, l);
        c->as_it_is = as_it_is;
        enum caefs_err err = family->encode(&field, s->arena, &c->prediction, &c->bits);
        if (err == CAEFS_OK && isinf(c->bits))
                s->ncandidates--;
        c->bits += l->beside_bits + l->table_bits;
        return err;
}

enum caefs_err
candidate_add(struct search *s, const struct lattice *l, enum family number)
{
        return add_field(s, l, number, false);
}

/* The records of many columns repeat each other. */
static enum caefs_err
grids_write(const struct search *s, const struct lattice *l, struct bytes *out)
{
        struct bytes   records = { 0 }, packed = { 0 };
        enum caefs_err err = CAEFS_OK;

        if (l->ngrids == 1)
                return grid_write(l->grid, out);
        for (size_t i = 0; i < l->ngrids && err == CAEFS_OK; i++)
                err = grid_write(&l->grid[i], &records);
        if (err == CAEFS_OK)
                err = pack_encode(records.data, records.size, s->options->effort, &packed);
        bytes_put_varint(out, records.size);
        bytes_put_varint(out, packed.size < records.size ? packed.size : 0);
        if (packed.size < records.size)
                bytes_put(out, packed.data, packed.size);
        else
                bytes_put(out, records.data, records.size);
        bytes_free(&records);
        bytes_free(&packed);
        return err;
}

static enum caefs_err
predicted_code(const struct search *s, struct candidate *c)
{
        const struct plane      *p = s->plane;
        const struct lattice    *l = c->lattice;
        const struct prediction *r = &c->prediction;
        enum effort              effort = s->options->effort;
        enum caefs_err           err = CAEFS_OK;

        if (l->sign != NULL)
                err = symbols_encode(l->sign, p->count, plane_row(p), 2, effort, s->arena,
                                     &c->body);
        if (err == CAEFS_OK)
                err = grids_write(s, l, &c->body);
        if (err != CAEFS_OK)
                return err;
        bytes_put_varint(&c->body, r->side.size);
        bytes_put(&c->body, r->side.data, r->side.size);
        return l->grid->wide
                ? residual_encode_wide(r->residual, r->segment, r->nsegments, effort, s->arena,
                                       &c->body)
                : residual_encode(r->residual, r->segment, r->nsegments, effort, s->arena,
                                  &c->body);
}

/* Little-endian bytes of the values. */
static const uint8_t *
little_endian_values(const struct search *s)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        const struct plane *p = s->plane;
        uint8_t            *raw = arena_array(s->arena, p->count, dtype_size(p->dtype));
        if (raw != NULL)
                values_swap(s->values, p->count, dtype_size(p->dtype), raw);
        return raw;
#else
        return s->values;
#endif
}

/* The bytes themselves, where that takes less than LIMIT; else C stays uncoded. */
static enum caefs_err
storage_code(const struct search *s, struct candidate *c, size_t limit)
{
        const struct plane *p = s->plane;
        const uint8_t      *raw = little_endian_values(s);

        if (raw == NULL)
                return CAEFS_ERR_NOMEM;
        bytes_clear(&c->body);
        return pack_encode_below(raw, p->count * dtype_size(p->dtype), s->options->effort,
                                 limit, &c->body, &c->coded);
}

static enum caefs_err
candidate_patch(const struct search *s, struct candidate *c)
{
        const struct plane *p = s->plane;

        bytes_clear(&c->patch);
        return patch_encode(p->dtype, s->values, c->where, p->count, plane_row(p),
                            s->options->effort, s->arena, &c->patch);
}

static enum caefs_err
candidate_code(const struct search *s, struct candidate *c)
{
        const struct plane *p = s->plane;
        struct arena_mark   mark;

        if (c->lattice != NULL && c->lattice->holes) {
                c->where = arena_alloc(s->arena, p->count);
                if (c->where == NULL)
                        return CAEFS_ERR_NOMEM;
                memcpy(c->where, c->lattice->hole, p->count);
        }
        mark = arena_mark(s->arena);
        c->coded = true;
        enum caefs_err err = predicted_code(s, c);
        if (err == CAEFS_OK && c->where != NULL)
                err = candidate_patch(s, c);
        arena_release(s->arena, mark);
        return err;
}

static size_t
candidate_size(const struct candidate *c)
{
        return 1 + c->body.size + (c->where != NULL ? c->patch.size + 1 : 0);
}

static void
candidate_write(const struct candidate *c, struct bytes *out)
{
        bytes_put_u8(out, (uint8_t) (c->head | (c->where != NULL ? HEAD_PATCH : 0)));
        if (c->where != NULL) {
                bytes_put_varint(out, c->patch.size);
                bytes_put(out, c->patch.data, c->patch.size);
        }
        bytes_put(out, c->body.data, c->body.size);
}

/* ---- choice and proof ---- */

/* Codes the N most promising candidates by estimate, and those that left no
 * residuals: their families have coded all there is. */
static enum caefs_err
code_best(struct search *s, size_t n)
{
        for (size_t i = 0; i < s->ncandidates; i++) {
                struct candidate *c = &s->candidate[i];
                enum caefs_err    err = CAEFS_OK;
                if (!c->coded && c->prediction.count == 0)
                        err = candidate_code(s, c);
                if (err != CAEFS_OK)
                        return err;
        }
        for (; n > 0; n--) {
                struct candidate *best = NULL;
                for (size_t i = 0; i < s->ncandidates; i++) {
                        struct candidate *c = &s->candidate[i];
                        if (!c->coded && !c->as_it_is && (best == NULL || c->bits < best->bits))
                                best = c;
                }
                if (best == NULL)
                        break;
                enum caefs_err err = candidate_code(s, best);
                if (err != CAEFS_OK)
                        return err;
        }
        return CAEFS_OK;
}

/* Size, and what it costs to need another object: time to read it, and room for it when its
 * own file is gone. */
static size_t
candidate_cost(const struct candidate *c)
{
        const struct family_methods *family = family_by_number(c->head & HEAD_FAMILY);
        size_t                       size = candidate_size(c);

        return family != NULL && family->uses_reference ? size + size / 32 : size;
}

static struct candidate *
smallest(struct search *s)
{
        struct candidate *best = NULL;

        for (size_t i = 0; i < s->ncandidates; i++) {
                struct candidate *c = &s->candidate[i];
                if (c->coded && (best == NULL || candidate_cost(c) < candidate_cost(best)))
                        best = c;
        }
        return best;
}

/* Exact storage, where it takes less than LIMIT bytes. */
static enum caefs_err
add_storage(struct search *s, size_t limit)
{
        return storage_code(s, candidate_new(s, STORAGE_BYTES, NULL), limit);
}

/* Writes and decodes C; what does not hold goes into its patch.  C is proved, as it
 * is written, when nothing had to. */
static enum caefs_err
candidate_prove(struct search *s, struct candidate *c, void *decoded)
{
        const struct plane *p = s->plane;

        bytes_clear(&s->coded);
        candidate_write(c, &s->coded);
        enum caefs_err err = s->coded.failed
                ? CAEFS_ERR_NOMEM
                : plane_decode(p, s->coded.data, s->coded.size, s->arena, decoded);
        if (err != CAEFS_OK)
                return err;
        s->decoded = c;
        uint8_t *where = c->where;
        if (where == NULL) {
                where = arena_alloc(s->arena, p->count);
                if (where == NULL)
                        return CAEFS_ERR_NOMEM;
                memset(where, 0, p->count);
        }
        s->errors = (struct chunk_report) { 0 };
        size_t failed = plane_verify(p, s->bound, s->values, decoded, where, &s->errors);
        c->proved = failed == 0;
        if (failed == 0)
                return CAEFS_OK;
        c->where = where;
        return candidate_patch(s, c);
}

/* Proves the smallest candidate until the smallest is a proved one, and leaves
 * its values in DECODED.  Exact storage comes in when all that was to be patched
 * has made the others larger than the values are. */
static enum caefs_err
prove_smallest(struct search *s, void *decoded, struct candidate **winner)
{
        size_t raw = s->plane->count * dtype_size(s->plane->dtype);
        bool   stored = false;

        for (;;) {
                struct candidate *c = smallest(s);
                enum caefs_err    err;
                if (!stored && (c == NULL || candidate_size(c) > raw)) {
                        stored = true;
                        err = add_storage(s, SIZE_MAX);
                } else if (c->proved && s->decoded == c) {
                        *winner = c;
                        return CAEFS_OK;
                } else {
                        err = candidate_prove(s, c, decoded);
                }
                if (err != CAEFS_OK)
                        return err;
        }
}

/* The estimate knows nothing of repetition: what is not predicted is coded anyway. */
static enum caefs_err
code_as_they_are(struct search *s)
{
        enum caefs_err err = CAEFS_OK;

        for (size_t i = 0; i < s->ncandidates && err == CAEFS_OK; i++)
                if (s->candidate[i].as_it_is)
                        err = candidate_code(s, &s->candidate[i]);
        return err;
}

static size_t
finalists(enum effort effort)
{
        return effort == EFFORT_FAST ? 1 : effort == EFFORT_BALANCED ? 3 : 5;
}

/* Every proposal with every family. */
static enum caefs_err
add_all(struct search *s)
{
        enum caefs_err err = CAEFS_OK;

        for (size_t i = 0; i < s->nproposals && err == CAEFS_OK; i++) {
                err = lattice_add(s, &s->proposal[i]);
                for (unsigned f = 1; f < FAMILY_LIMIT && err == CAEFS_OK; f++)
                        err = candidate_add(s, &s->lattice[i], (enum family) f);
                if (err == CAEFS_OK && s->options->effort == EFFORT_MAX
                    && s->plane->count <= AS_IT_IS_LIMIT)
                        err = add_field(s, &s->lattice[i], FAMILY_LORENZO, true);
        }
        return err;
}

/* Only what a part of the plane has chosen; the second where it is about as good as the
 * first turned out to be. */
static enum caefs_err
add_chosen(struct search *s)
{
        struct choice  choice[MAX_CHOICES];
        size_t         n;
        enum caefs_err err = sample_choose(s, choice, &n);

        if (err == CAEFS_OK && n > 0)
                err = lattice_add(s, choice[0].proposal);
        for (size_t i = 0; i < n && err == CAEFS_OK; i++)
                if (s->ncandidates == 0 || choice[i].bits < CHOICE_CLOSE * s->candidate[0].bits)
                        err = candidate_add(s, &s->lattice[0], choice[i].family);
        /* A part shows nothing of what lies in a reference. */
        for (unsigned f = 1; s->plane->reference != NULL && n > 0 && f < FAMILY_LIMIT
                             && err == CAEFS_OK; f++)
                if (family_by_number(f) != NULL && family_by_number(f)->uses_reference)
                        err = candidate_add(s, &s->lattice[0], (enum family) f);
        return err;
}

/* How many candidates are coded in full. */
static size_t
finalists_of(const struct search *s, bool sampled)
{
        size_t n = finalists(s->options->effort), close = 0;
        double best = INFINITY;

        for (size_t i = 0; i < s->ncandidates; i++)
                best = fmin(best, s->candidate[i].bits);
        for (size_t i = 0; i < s->ncandidates; i++)
                close += s->candidate[i].bits < CHOICE_CLOSE * best;
        return !sampled || close > 1 ? n : 1;
}

/* A bound that leaves a small part of values that hardly repeat is out of reach for the
 * bytes themselves. */
static bool
storage_may_win(const struct search *s, const struct candidate *best)
{
        const struct plane *p = s->plane;

        return best == NULL || s->options->effort == EFFORT_MAX || s->fill.repeats
                || s->bound->mode == BOUND_LOSSLESS
                || candidate_size(best) > p->count * dtype_size(p->dtype) / 2;
}

static enum caefs_err
search_run(struct search *s, void *decoded, struct candidate **winner)
{
        enum caefs_err err = search_propose(s);

        bool sampled = err == CAEFS_OK && sample_pays(s);
        if (err == CAEFS_OK)
                err = sampled ? add_chosen(s) : add_all(s);
        if (err == CAEFS_OK)
                err = code_best(s, finalists_of(s, sampled));
        if (err == CAEFS_OK)
                err = code_as_they_are(s);
        const struct candidate *best = smallest(s);
        if (err == CAEFS_OK && storage_may_win(s, best))
                err = add_storage(s, best == NULL ? SIZE_MAX : candidate_size(best));
        return err == CAEFS_OK ? prove_smallest(s, decoded, winner) : err;
}

static void
search_free(struct search *s)
{
        for (size_t i = 0; i < s->ncandidates; i++) {
                bytes_free(&s->candidate[i].prediction.side);
                bytes_free(&s->candidate[i].body);
                bytes_free(&s->candidate[i].patch);
        }
        bytes_free(&s->coded);
}

/* The same bits everywhere: their high bytes, down to the last not zero. */
static bool
constant_code(const struct plane *p, const void *values, struct bytes *out)
{
        size_t   width = dtype_size(p->dtype);
        uint64_t bits = value_bits(p->dtype, values, 0);
        unsigned skip = 0;

        if (memcmp(values, (const char *) values + width, (p->count - 1) * width) != 0)
                return false;
        while (skip < width && (bits >> (8 * skip) & 0xff) == 0)
                skip++;
        bytes_put_u8(out, STORAGE_CONSTANT);
        for (; skip < width; skip++)
                bytes_put_u8(out, (uint8_t) (bits >> (8 * skip)));
        return true;
}

enum caefs_err
plane_encode(const struct plane *p, const struct plane_bound *b, const struct chunk_options *o,
             const void *values, struct arena *arena, struct bytes *out, void *decoded,
             struct chunk_report *report)
{
        struct search     s = { .plane = p, .bound = b, .options = o, .values = values,
                                .arena = arena };
        struct arena_mark mark = arena_mark(arena);
        struct candidate *winner = NULL;

        if (constant_code(p, values, out)) {
                memcpy(decoded, values, p->count * dtype_size(p->dtype));
                return out->failed ? CAEFS_ERR_NOMEM : CAEFS_OK;
        }
        enum caefs_err err = search_run(&s, decoded, &winner);
        if (err == CAEFS_OK) {
                bytes_put(out, s.coded.data, s.coded.size);
                report->worst = s.errors.worst;
                report->worst_over_bound = s.errors.worst_over_bound;
                report->family = (int) (winner->head & HEAD_FAMILY);
                report->grid = winner->lattice != NULL ? winner->lattice->grid->kind : 0;
                const struct family_methods *family = family_by_number((unsigned) report->family);
                report->uses_model = winner->prediction.uses_model
                        || (family != NULL && family->needs_model);
                for (size_t i = 0; winner->where != NULL && i < p->count; i++)
                        report->patched += winner->where[i] != 0;
        }
        search_free(&s);
        arena_release(arena, mark);
        return err == CAEFS_OK && out->failed ? CAEFS_ERR_NOMEM : err;
}
