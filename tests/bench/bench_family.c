/* bench_family.c - grids and families on one chunk of turbulence at rel:1e-3.
 *
 * A family's encoding is prediction and the choice of its variant, without the
 * residual coder; its decoding has the residual coder in it, as the interface has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/grid_fit.h"
#include "codec/predict.h"
#include "tests/bench/bench.h"

static void
check(enum caefs_err err, const char *what)
{
        if (err == CAEFS_OK)
                return;
        fprintf(stderr, "%s: %s\n", what, caefs_detail());
        exit(1);
}

/* ---- grids ----------------------------------------------------------------------- */

struct grid_job {
        struct grid  grid;
        const void  *values;
        size_t       n;
        void        *integers;          /* (n) int64_t, room for either width */
        void        *back;              /* (n) values */
        uint8_t     *hole;
};

static bool
forward(void *context)
{
        struct grid_job *j = context;

        grid_forward(&j->grid, j->values, j->n, 1, j->integers, j->hole);
        return true;
}

static bool
inverse(void *context)
{
        struct grid_job *j = context;

        grid_inverse(&j->grid, j->integers, j->n, 1, j->back);
        return true;
}

static size_t
add_grid(struct grid_job *j, const char *name, enum dtype t, const void *values, size_t n,
         struct bench_item *item)
{
        const struct bench_item common = {
                .unit = "ns/value",
                .amount = (double) n,
                .context = j,
        };

        j->values = values;
        j->n = n;
        j->integers = bench_memory(n * sizeof(int64_t));
        j->back = bench_memory(n * dtype_size(t));
        j->hole = bench_memory(n);
        for (int i = 0; i < 2; i++) {
                item[i] = common;
                snprintf(item[i].name, sizeof item[i].name, "grid/%s/%s", name, dtype_name(t));
        }
        item[0].what = "forward";
        item[0].run = forward;
        item[1].what = "inverse";
        item[1].run = inverse;
        return 2;
}

static void
run_grids(const struct bench_options *o, const float *values, size_t n)
{
        struct grid_job    job[5] = { 0 };
        struct bench_item  item[10];
        struct value_statistics s;
        double            *wide = bench_memory(n * sizeof *wide);
        double            *decimal = bench_memory(n * sizeof *decimal);
        size_t             items = 0;

        for (size_t i = 0; i < n; i++) {
                wide[i] = values[i];
                decimal[i] = (double) (int) (values[i] * 1000) / 1000;
        }
        value_statistics_of(DTYPE_F32, values, n, 1, NULL, &s);
        double amount = 1e-3 * (s.high - s.low);
        bool   fits = grid_fit_linear(DTYPE_F32, &s, amount, &job[0].grid) &&
                      grid_fit_linear(DTYPE_F64, &s, amount, &job[1].grid) &&
                      grid_fit_log(DTYPE_F32, &s, 1e-3, &job[2].grid);
        grid_fit_bits(DTYPE_F32, values, n, 1, &job[3].grid);
        value_statistics_of(DTYPE_F64, decimal, n, 1, NULL, &s);
        fits = fits && grid_fit_decimal(DTYPE_F64, decimal, n, 1, &s, &job[4].grid);
        if (!fits) {
                fprintf(stderr, "a grid does not fit\n");
                exit(1);
        }
        items += add_grid(&job[0], "linear", DTYPE_F32, values, n, item + items);
        items += add_grid(&job[1], "linear", DTYPE_F64, wide, n, item + items);
        items += add_grid(&job[2], "log", DTYPE_F32, values, n, item + items);
        items += add_grid(&job[3], "bits", DTYPE_F32, values, n, item + items);
        items += add_grid(&job[4], "decimal", DTYPE_F64, decimal, n, item + items);
        bench_run(o, item, items);
        for (size_t i = 0; i < 5; i++) {
                free(job[i].integers);
                free(job[i].back);
                free(job[i].hole);
        }
        free(wide);
        free(decimal);
}

/* ---- families -------------------------------------------------------------------- */

struct family_job {
        const struct family_methods *family;
        struct field                 field;
        struct arena                 arena;
        struct arena_mark            empty;
        struct bytes                 side, coded;       /* once encoded */
        int32_t                     *back;
};

static bool
predict(void *context)
{
        struct family_job *j = context;
        struct prediction  p = { 0 };
        double             bits;

        arena_release(&j->arena, j->empty);
        bool done = j->family->encode(&j->field, &j->arena, &p, &bits) == CAEFS_OK;
        bytes_free(&p.side);
        return done;
}

/* What rebuild() reads. */
static void
encode_once(struct family_job *j)
{
        struct prediction p = { 0 };
        double            bits;

        check(j->family->encode(&j->field, &j->arena, &p, &bits), "a family's encode");
        check(residual_encode(p.residual, p.segment, p.nsegments, j->field.effort, &j->arena,
                              &j->coded), "residual_encode");
        j->side = p.side;
        arena_release(&j->arena, j->empty);
}

static bool
rebuild(void *context)
{
        struct family_job *j = context;
        struct cursor      side = cursor_of(j->side.data, j->side.size);
        struct cursor      coded = cursor_of(j->coded.data, j->coded.size);

        arena_release(&j->arena, j->empty);
        return j->family->decode(&j->field.geometry, &side, &coded, &j->arena, j->back) == CAEFS_OK;
}

static size_t
add_family(struct family_job *j, unsigned number, const struct field *field,
           struct bench_item *item)
{
        const struct bench_item common = {
                .unit = "ns/value",
                .amount = (double) field->geometry.count,
                .context = j,
        };

        j->family = family_by_number(number);
        j->field = *field;
        if (j->family == NULL || j->family->needs_model || !j->family->applies(field))
                return 0;
        arena_alloc(&j->arena, 1);
        j->empty = arena_mark(&j->arena);
        j->back = bench_memory(field->geometry.count * sizeof *j->back);
        encode_once(j);
        for (int i = 0; i < 2; i++) {
                item[i] = common;
                snprintf(item[i].name, sizeof item[i].name, "family/%s/%s", j->family->name,
                         effort_name(field->effort));
        }
        item[0].what = "predict";
        item[0].run = predict;
        item[1].what = "decode";
        item[1].run = rebuild;
        return 2;
}

static void
run_families(const struct bench_options *o, const float *values, size_t extent)
{
        struct family_job  job[3 * FAMILY_LIMIT] = { 0 };
        struct bench_item  item[6 * FAMILY_LIMIT];
        struct value_statistics s;
        struct grid        grid;
        size_t             n = extent * extent * extent, jobs = 0, items = 0;
        int32_t           *integers = bench_memory(n * sizeof *integers);
        uint8_t           *hole = bench_memory(n);

        value_statistics_of(DTYPE_F32, values, n, 1, NULL, &s);
        if (!grid_fit_linear(DTYPE_F32, &s, 1e-3 * (s.high - s.low), &grid) || grid.wide) {
                fprintf(stderr, "the grid does not fit\n");
                exit(1);
        }
        grid_forward(&grid, values, n, 1, integers, hole);
        struct field field = {
                .geometry = {
                        .shape = { 3, { extent, extent, extent } },
                        .count = n,
                        .step = grid.step,
                },
                .grid = integers,
        };
        for (int effort = EFFORT_FAST; effort <= EFFORT_MAX; effort++) {
                field.effort = (enum effort) effort;
                for (unsigned f = 1; f < FAMILY_LIMIT; f++, jobs++)
                        items += add_family(&job[jobs], f, &field, item + items);
        }
        bench_run(o, item, items);
        for (size_t i = 0; i < jobs; i++) {
                bytes_free(&job[i].side);
                bytes_free(&job[i].coded);
                arena_free(&job[i].arena);
                free(job[i].back);
        }
        free(integers);
        free(hole);
}

int
main(int argc, char **argv)
{
        struct bench_options o = bench_options_read(argc, argv);
        size_t               extent = o.tiny ? 16 : 128;
        float               *values = bench_turbulence(extent, 0, 1);

        run_grids(&o, values, extent * extent * extent);
        run_families(&o, values, extent);
        free(values);
        return 0;
}
