/*
 * flow.c - a two-dimensional compressible flow past a cylinder, and what
 * probes in it would measure: the dataset of quickstart and of the tests.
 *
 * The Euler equations of an ideal gas by finite volumes: limited linear
 * reconstruction of the primitive variables, HLLC fluxes, Heun's method in
 * time (Toro, "Riemann Solvers and Numerical Methods for Fluid Dynamics",
 * chapters 10 and 13).  Supersonic inflow on the left, outflow on the right,
 * reflecting walls above and below and around the cylinder.
 *
 * Units: the gas at rest ahead has density 1 and pressure 1; the cylinder has
 * a diameter of 1/4 of the channel's height, which is 1.
 *
 * DIR/flow/VARIABLE_NNNN.npy   float32 (ny, nx), NaN inside the cylinder
 * DIR/flow/cylinder.npy        uint8 (ny, nx), 1 inside the cylinder
 * DIR/probes/readings_NNNN.npy float64 (readings, 12), PROBE_COLUMNS below
 *
 * Only + - * / and sqrt are used, so every machine makes the same files.
 */

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/tool.h"

#define GAMMA 1.4
#define COURANT 0.4
#define MACH_INFLOW 2.0
#define FLOOR 1e-6 /* density and pressure never fall below it */
#define GHOSTS 2

struct prim {
        double rho, u, v, p; /* density, velocity along and across, pressure */
};

struct cons {
        double rho, mu, mv, e; /* densities of mass, momentum and energy */
};

enum boundary { WALL, INFLOW, OUTFLOW };

struct grid {
        int nx, ny;
        double h;            /* width of a cell */
        struct cons *now;    /* (ny, nx) */
        struct cons *stage;  /* (ny, nx) */
        struct cons *rate;   /* (ny, nx) d/dt */
        unsigned char *solid; /* (ny, nx) */
        struct prim *line;   /* (max(nx, ny) + 2 GHOSTS) one row or column */
        struct cons *line_rate;
};

struct options {
        int nx, ny;
        int frames;        /* files per variable */
        double t_end;
        const char *dir;
};

/* ---- one line of cells ---- */

static double sound_speed(const struct prim *w)
{
        return sqrt(GAMMA * w->p / w->rho);
}

static struct prim to_prim(const struct cons *q)
{
        struct prim w;

        w.rho = q->rho > FLOOR ? q->rho : FLOOR;
        w.u = q->mu / w.rho;
        w.v = q->mv / w.rho;
        w.p = (GAMMA - 1) *
              (q->e - 0.5 * w.rho * (w.u * w.u + w.v * w.v));
        if (!(w.p > FLOOR))
                w.p = FLOOR;
        return w;
}

static struct cons to_cons(const struct prim *w)
{
        return (struct cons){
                .rho = w->rho,
                .mu = w->rho * w->u,
                .mv = w->rho * w->v,
                .e = w->p / (GAMMA - 1) +
                     0.5 * w->rho * (w->u * w->u + w->v * w->v),
        };
}

static struct cons flux_of(const struct prim *w, const struct cons *q)
{
        return (struct cons){
                .rho = q->mu,
                .mu = q->mu * w->u + w->p,
                .mv = q->mv * w->u,
                .e = (q->e + w->p) * w->u,
        };
}

/* The state between a wave of speed s and the contact, speed s_mid. */
static struct cons star_state(const struct prim *w, const struct cons *q,
                              double s, double s_mid)
{
        const double rho = w->rho * (s - w->u) / (s - s_mid);
        const double e = q->e / w->rho +
                         (s_mid - w->u) *
                                 (s_mid + w->p / (w->rho * (s - w->u)));

        return (struct cons){ rho, rho * s_mid, rho * w->v, rho * e };
}

static struct cons flux_past_wave(struct cons f, double s,
                                  const struct cons *star,
                                  const struct cons *q)
{
        f.rho += s * (star->rho - q->rho);
        f.mu += s * (star->mu - q->mu);
        f.mv += s * (star->mv - q->mv);
        f.e += s * (star->e - q->e);
        return f;
}

/* HLLC: Toro, section 10.4, with Davis' estimates of the wave speeds. */
static struct cons hllc(const struct prim *l, const struct prim *r)
{
        const struct cons ql = to_cons(l), qr = to_cons(r);
        const double cl = sound_speed(l), cr = sound_speed(r);
        const double sl = l->u - cl < r->u - cr ? l->u - cl : r->u - cr;
        const double sr = l->u + cl > r->u + cr ? l->u + cl : r->u + cr;
        double s_mid;
        struct cons star;

        if (sl >= 0)
                return flux_of(l, &ql);
        if (sr <= 0)
                return flux_of(r, &qr);
        s_mid = (r->p - l->p + ql.mu * (sl - l->u) - qr.mu * (sr - r->u)) /
                (l->rho * (sl - l->u) - r->rho * (sr - r->u));
        if (s_mid >= 0) {
                star = star_state(l, &ql, sl, s_mid);
                return flux_past_wave(flux_of(l, &ql), sl, &star, &ql);
        }
        star = star_state(r, &qr, sr, s_mid);
        return flux_past_wave(flux_of(r, &qr), sr, &star, &qr);
}

/* Half the slope over a cell: van Leer's limiter. */
static double half_slope(double before, double here, double after)
{
        const double a = here - before, b = after - here;

        return a * b > 0 ? a * b / (a + b) : 0;
}

/* The state at the far (+1) or near (-1) side of the cell w[0]. */
static struct prim side_of(const struct prim *w, double sign)
{
        struct prim s = {
                w->rho + sign * half_slope(w[-1].rho, w->rho, w[1].rho),
                w->u + sign * half_slope(w[-1].u, w->u, w[1].u),
                w->v + sign * half_slope(w[-1].v, w->v, w[1].v),
                w->p + sign * half_slope(w[-1].p, w->p, w[1].p),
        };

        return s.rho > FLOOR && s.p > FLOOR ? s : *w;
}

static struct prim mirrored(struct prim w)
{
        w.u = -w.u;
        return w;
}

static struct prim inflow(void)
{
        return (struct prim){ 1, MACH_INFLOW * sqrt(GAMMA), 0, 1 };
}

static void fill_ghosts(struct prim *w, int n, enum boundary before,
                        enum boundary after)
{
        int g;

        for (g = 0; g < GHOSTS; g++) {
                /* A segment of one cell mirrors that cell twice. */
                const int m = g < n ? g : n - 1;

                w[-1 - g] = before == WALL     ? mirrored(w[m])
                            : before == INFLOW ? inflow()
                                               : w[0];
                w[n + g] = after == WALL ? mirrored(w[n - 1 - m]) : w[n - 1];
        }
}

/*
 * Adds to rate[0..n) what flows through the faces of n cells without an
 * obstacle between them.  w has GHOSTS cells of room on both sides.
 */
static void sweep_segment(struct prim *w, int n, double h,
                          enum boundary before, enum boundary after,
                          struct cons *rate)
{
        int i;

        fill_ghosts(w, n, before, after);
        for (i = 0; i <= n; i++) {
                const struct prim l = side_of(&w[i - 1], +1);
                const struct prim r = side_of(&w[i], -1);
                const struct cons f = hllc(&l, &r);

                if (i > 0) {
                        rate[i - 1].rho -= f.rho / h;
                        rate[i - 1].mu -= f.mu / h;
                        rate[i - 1].mv -= f.mv / h;
                        rate[i - 1].e -= f.e / h;
                }
                if (i < n) {
                        rate[i].rho += f.rho / h;
                        rate[i].mu += f.mu / h;
                        rate[i].mv += f.mv / h;
                        rate[i].e += f.e / h;
                }
        }
}

/* ---- the grid ---- */

static void swap_axes(struct cons *q)
{
        const double mu = q->mu;

        q->mu = q->mv;
        q->mv = mu;
}

/*
 * Sweeps the n cells q[0], q[stride], ... segment by segment between solid
 * cells, and adds to g->rate.  Across the rows (vertical) the two components
 * of the momentum change places.
 */
static void sweep_line(struct grid *g, const struct cons *q, size_t first,
                       size_t stride, int n, bool vertical)
{
        int begin, end, i;

        for (begin = 0; begin < n; begin = end + 1) {
                for (end = begin;
                     end < n && !g->solid[first + (size_t)end * stride]; end++) {
                        struct cons c = q[first + (size_t)end * stride];

                        if (vertical)
                                swap_axes(&c);
                        g->line[GHOSTS + end - begin] = to_prim(&c);
                }
                if (end == begin)
                        continue;
                memset(g->line_rate, 0,
                       (size_t)(end - begin) * sizeof *g->line_rate);
                sweep_segment(g->line + GHOSTS, end - begin, g->h,
                              begin == 0 && !vertical ? INFLOW : WALL,
                              end == n && !vertical ? OUTFLOW : WALL,
                              g->line_rate);
                for (i = begin; i < end; i++) {
                        struct cons *rate = &g->rate[first + (size_t)i * stride];
                        struct cons *r = &g->line_rate[i - begin];

                        if (vertical)
                                swap_axes(r);
                        rate->rho += r->rho;
                        rate->mu += r->mu;
                        rate->mv += r->mv;
                        rate->e += r->e;
                }
        }
}

static void compute_rate(struct grid *g, const struct cons *q)
{
        const size_t nx = (size_t)g->nx;
        int i, j;

        memset(g->rate, 0, nx * (size_t)g->ny * sizeof *g->rate);
        for (j = 0; j < g->ny; j++)
                sweep_line(g, q, (size_t)j * nx, 1, g->nx, false);
        for (i = 0; i < g->nx; i++)
                sweep_line(g, q, (size_t)i, nx, g->ny, true);
}

/* to = share * from + (1 - share) * to, after from has gone on by dt. */
static void advance(const struct grid *g, struct cons *to,
                    const struct cons *from, double share, double dt)
{
        const size_t n = (size_t)g->nx * (size_t)g->ny;
        size_t i;

        for (i = 0; i < n; i++) {
                const struct cons *r = &g->rate[i], *f = &from[i];
                struct cons *t = &to[i];
                struct prim w;

                if (g->solid[i])
                        continue;
                t->rho = share * (f->rho + dt * r->rho) + (1 - share) * t->rho;
                t->mu = share * (f->mu + dt * r->mu) + (1 - share) * t->mu;
                t->mv = share * (f->mv + dt * r->mv) + (1 - share) * t->mv;
                t->e = share * (f->e + dt * r->e) + (1 - share) * t->e;
                w = to_prim(t); /* applies the floors */
                *t = to_cons(&w);
        }
}

static double stable_step(const struct grid *g)
{
        const size_t n = (size_t)g->nx * (size_t)g->ny;
        double fastest = 0;
        size_t i;

        for (i = 0; i < n; i++) {
                const struct prim w = to_prim(&g->now[i]);
                const double c = sound_speed(&w);
                const double speed = fabs(w.u) + fabs(w.v) + 2 * c;

                if (!g->solid[i] && speed > fastest)
                        fastest = speed;
        }
        return COURANT * g->h / fastest;
}

/* Heun's method. */
static void time_step(struct grid *g, double dt)
{
        const size_t n = (size_t)g->nx * (size_t)g->ny;

        memcpy(g->stage, g->now, n * sizeof *g->now);
        compute_rate(g, g->now);
        advance(g, g->stage, g->now, 1, dt);
        compute_rate(g, g->stage);
        advance(g, g->now, g->stage, 0.5, dt);
}

static void *must_alloc(size_t n, size_t size)
{
        void *p = calloc(n, size);

        if (p == NULL) {
                tool_error(NULL, NULL, "out of memory");
                exit(TOOL_SYSTEM);
        }
        return p;
}

static void grid_init(struct grid *g, const struct options *o)
{
        const size_t n = (size_t)o->nx * (size_t)o->ny;
        const size_t longest = (size_t)(o->nx > o->ny ? o->nx : o->ny);
        const struct prim w = inflow();
        int i, j;

        *g = (struct grid){
                .nx = o->nx,
                .ny = o->ny,
                .h = 1.0 / o->ny,
                .now = must_alloc(n, sizeof *g->now),
                .stage = must_alloc(n, sizeof *g->stage),
                .rate = must_alloc(n, sizeof *g->rate),
                .solid = must_alloc(n, 1),
                .line = must_alloc(longest + 2 * GHOSTS, sizeof *g->line),
                .line_rate = must_alloc(longest, sizeof *g->line_rate),
        };
        for (j = 0; j < g->ny; j++) {
                for (i = 0; i < g->nx; i++) {
                        /* A little off the middle, so that the wake sways. */
                        const double x = (i + 0.5) * g->h - 0.5;
                        const double y = (j + 0.5) * g->h - 0.52;
                        const size_t k = (size_t)j * (size_t)g->nx + (size_t)i;

                        g->solid[k] = x * x + y * y < 0.125 * 0.125;
                        g->now[k] = to_cons(&w);
                }
        }
}

static void grid_destroy(struct grid *g)
{
        free(g->now);
        free(g->stage);
        free(g->rate);
        free(g->solid);
        free(g->line);
        free(g->line_rate);
}

/* ---- .npy files ---- */

/*
 * Version 1.0 of the format, C order; data is host byte order, which descr
 * must say.  Ends the program when the file cannot be written.
 */
static void write_npy(const char *path, const char *descr, size_t rows,
                      size_t columns, const void *data, size_t item_nbytes)
{
        char header[128];
        int len;
        FILE *f = fopen(path, "wb");

        memset(header, ' ', sizeof header);
        memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10); /* 118 = 128 - 10 */
        len = snprintf(header + 10, sizeof header - 10,
                       "{'descr': '%s', 'fortran_order': False, "
                       "'shape': (%zu, %zu), }",
                       descr, rows, columns);
        header[10 + len] = ' ';
        header[sizeof header - 1] = '\n';
        if (f == NULL || fwrite(header, sizeof header, 1, f) != 1 ||
            fwrite(data, item_nbytes, rows * columns, f) != rows * columns ||
            fclose(f) != 0) {
                tool_error(path, "is there room?", "cannot write: %m");
                exit(TOOL_SYSTEM);
        }
}

static double variable_density(const struct prim *w) { return w->rho; }
static double variable_velocity_x(const struct prim *w) { return w->u; }
static double variable_velocity_y(const struct prim *w) { return w->v; }
static double variable_pressure(const struct prim *w) { return w->p; }

static const struct {
        const char *name;
        double (*of)(const struct prim *w);
} variables[] = {
        { "density", variable_density },
        { "velocity_x", variable_velocity_x },
        { "velocity_y", variable_velocity_y },
        { "pressure", variable_pressure },
};

static void write_frame(const struct grid *g, const char *dir, int frame)
{
        const size_t n = (size_t)g->nx * (size_t)g->ny;
        float *field = must_alloc(n, sizeof *field);
        char path[4096];
        size_t v, i;

        for (v = 0; v < sizeof variables / sizeof *variables; v++) {
                for (i = 0; i < n; i++) {
                        const struct prim w = to_prim(&g->now[i]);

                        field[i] = g->solid[i] ? NAN
                                               : (float)variables[v].of(&w);
                }
                snprintf(path, sizeof path, "%s/flow/%s_%04d.npy", dir,
                         variables[v].name, frame);
                write_npy(path, "<f4", (size_t)g->ny, (size_t)g->nx, field,
                          sizeof *field);
        }
        free(field);
}

/* ---- probes ---- */

#define PROBES 24
#define PROBE_COLUMNS 12
#define PROBE_FILES 4

struct probes {
        double *readings; /* (capacity, PROBE_COLUMNS) */
        size_t n, capacity;
        double lagging[PROBES]; /* temperature of a slow thermocouple */
        uint64_t random;
};

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's ...". */
static double uniform(uint64_t *state)
{
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        return (double)((*state * 0x2545F4914F6CDD1DULL) >> 11) * 0x1p-53;
}

/* Nearly normal, mean 0 and deviation 1: the sum of twelve uniforms. */
static double noise(uint64_t *state)
{
        double sum = -6;
        int i;

        for (i = 0; i < 12; i++)
                sum += uniform(state);
        return sum;
}

static size_t probe_cell(const struct grid *g, int probe)
{
        /* Six columns of four, from ahead of the cylinder to its wake. */
        const int i = g->nx * (2 + 3 * (probe / 4)) / 20;
        const int j = g->ny * (1 + 2 * (probe % 4)) / 8;

        return (size_t)j * (size_t)g->nx + (size_t)i;
}

static double *next_reading(struct probes *p)
{
        if (p->n == p->capacity) {
                p->capacity = p->capacity > 0 ? 2 * p->capacity : 4096;
                p->readings = reallocarray(p->readings, p->capacity,
                                           PROBE_COLUMNS * sizeof(double));
                if (p->readings == NULL) {
                        tool_error(NULL, NULL, "out of memory");
                        exit(TOOL_SYSTEM);
                }
        }
        return p->readings + PROBE_COLUMNS * p->n++;
}

/*
 * One row per probe: instruments that measure the same gas in different
 * ways, each with noise of its own.
 */
static void read_probes(struct probes *p, const struct grid *g, double t)
{
        int k;

        for (k = 0; k < PROBES; k++) {
                const size_t cell = probe_cell(g, k);
                const struct prim w = to_prim(&g->now[cell]);
                const double temperature = 288.15 * w.p / w.rho;
                const double speed = sqrt(w.u * w.u + w.v * w.v);
                double *row = next_reading(p);

                if (p->lagging[k] == 0)
                        p->lagging[k] = temperature;
                p->lagging[k] += 0.05 * (temperature - p->lagging[k]);

                row[0] = t;
                row[1] = (double)(cell % (size_t)g->nx) * g->h;
                row[2] = (double)(cell / (size_t)g->nx) * g->h;
                row[3] = 101325 * w.p + 40 * noise(&p->random);
                row[4] = 101325 * (w.p + 0.5 * w.rho * speed * speed) +
                         60 * noise(&p->random); /* pitot tube */
                row[5] = temperature + 0.2 * noise(&p->random);
                row[6] = p->lagging[k] + 0.1 * noise(&p->random);
                row[7] = 1.225 * w.rho + 1e-3 * noise(&p->random);
                row[8] = 287.6 * w.u + 0.5 * noise(&p->random);
                row[9] = 287.6 * w.v + 0.5 * noise(&p->random);
                row[10] = speed / sound_speed(&w);
                row[11] = 1.225 * w.rho * 287.6 * speed +
                          0.8 * noise(&p->random); /* mass flow */
        }
}

static void write_probes(const struct probes *p, const char *dir)
{
        char path[4096];
        int i;

        for (i = 0; i < PROBE_FILES; i++) {
                const size_t begin = p->n * (size_t)i / PROBE_FILES;
                const size_t end = p->n * ((size_t)i + 1) / PROBE_FILES;

                snprintf(path, sizeof path, "%s/probes/readings_%04d.npy", dir,
                         i);
                write_npy(path, "<f8", end - begin, PROBE_COLUMNS,
                          p->readings + PROBE_COLUMNS * begin, sizeof(double));
        }
}

/* ---- the program ---- */

static void make_directory(const char *dir, const char *name)
{
        char path[4096];

        snprintf(path, sizeof path, "%s/%s", dir, name);
        if (mkdir(path, 0777) != 0 && errno != EEXIST) {
                tool_error(path, NULL, "cannot make the directory: %m");
                exit(TOOL_SYSTEM);
        }
}

static void solve(const struct options *o)
{
        struct tool_progress progress;
        struct probes probes = { .random = 88172645463325252ULL };
        struct grid g;
        char path[4096];
        double t = 0;
        int frame = 0;

        grid_init(&g, o);
        snprintf(path, sizeof path, "%s/flow/cylinder.npy", o->dir);
        write_npy(path, "|u1", (size_t)g.ny, (size_t)g.nx, g.solid, 1);

        tool_progress_begin(&progress, "solving", TOOL_PROGRESS_ITEMS,
                            (uint64_t)o->frames);
        while (frame < o->frames) {
                /* Frames begin once the bow shock stands off the cylinder. */
                const double due = o->t_end * (frame + o->frames / 4.0) /
                                   (1.25 * o->frames);
                double dt = stable_step(&g);

                if (t + dt > due)
                        dt = due - t;
                time_step(&g, dt);
                t += dt;
                read_probes(&probes, &g, t);
                if (t >= due) {
                        write_frame(&g, o->dir, frame++);
                        tool_progress_update(&progress, (uint64_t)frame);
                }
        }
        tool_progress_end(&progress);
        write_probes(&probes, o->dir);
        free(probes.readings);
        grid_destroy(&g);
}

static const char help_text[] =
        "Usage: flow [--small] [--progress auto|always|never] DIR\n"
        "\n"
        "Computes the flow of a gas past a cylinder and writes it to DIR as\n"
        ".npy files: DIR/flow (fields) and DIR/probes (tables).\n"
        "\n"
        "  --small    a coarse grid and few files, for tests\n" TOOL_COMMON_HELP;

int main(int argc, char **argv)
{
        static const struct option long_options[] = {
                { "small", no_argument, NULL, 's' },
                { "help", no_argument, NULL, 'h' },
                TOOL_COMMON_LONG_OPTIONS,
                { 0 },
        };
        struct options o = { .nx = 256, .ny = 128, .frames = 24, .t_end = 1.2 };
        int c;

        while ((c = getopt_long(argc, argv, TOOL_COMMON_SHORT_OPTIONS,
                                long_options, NULL)) != -1) {
                switch (c) {
                case 's':
                        o.nx = 128;
                        o.ny = 64;
                        o.frames = 6;
                        break;
                case 'h':
                        fputs(help_text, stdout);
                        return TOOL_OK;
                default:
                        if (!tool_common_option(c))
                                return TOOL_USAGE;
                }
        }
        if (argc - optind != 1) {
                fputs(help_text, stderr);
                return TOOL_USAGE;
        }
        o.dir = argv[optind];
        make_directory(o.dir, "");
        make_directory(o.dir, "flow");
        make_directory(o.dir, "probes");
        solve(&o);
        return TOOL_OK;
}
