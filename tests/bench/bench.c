#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/bench/bench.h"

#define ROUNDS_MAX     100
#define ENOUGH_SECONDS 30.0
#define ROUNDS_MIN     2

static void
usage(const char *program)
{
        fprintf(stderr, "Usage: %s [--rounds N] [--tiny] [--only SUBSTRING]\n", program);
        exit(1);
}

struct bench_options
bench_options_read(int argc, char **argv)
{
        struct bench_options o = { .rounds = 5 };

        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--tiny") == 0)
                        o.tiny = true;
                else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
                        o.rounds = (unsigned) strtoul(argv[++i], NULL, 10);
                else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
                        o.only = argv[++i];
                else
                        usage(argv[0]);
        }
        if (o.rounds < 1 || o.rounds > ROUNDS_MAX)
                usage(argv[0]);
        return o;
}

uint64_t
bench_random(uint64_t *state)
{
        uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        return z ^ z >> 31;
}

double
bench_random_unit(uint64_t *state)
{
        return ((double) (bench_random(state) >> 12) + 0.5) * 0x1p-52;
}

void *
bench_memory(size_t size)
{
        void *memory = malloc(size);

        if (memory == NULL) {
                fprintf(stderr, "no memory for %zu bytes\n", size);
                exit(1);
        }
        memset(memory, 1, size);
        return memory;
}

/* The figures of one item, in its unit. */
struct figures {
        double   value[ROUNDS_MAX];
        unsigned n;
        double   spent;         /* seconds */
};

static double
clock_seconds(bool wall)
{
        struct timespec t;

        clock_gettime(wall ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &t);
        return (double) t.tv_sec + (double) t.tv_nsec * 1e-9;
}

static double
in_unit(const struct bench_item *item, double seconds)
{
        if (seconds <= 0)
                seconds = 1e-9;
        if (strcmp(item->unit, "MB/s") == 0)
                return item->amount * 1e-6 / seconds;
        return seconds * (item->unit[0] == 'n' ? 1e9 : 1e6) / item->amount;
}

static void
time_item(const struct bench_item *item, bool counts, struct figures *f)
{
        double start = clock_seconds(item->wall);
        bool   done = item->run(item->context);
        double seconds = clock_seconds(item->wall) - start;

        if (!done) {
                fprintf(stderr, "%s %s failed\n", item->name, item->what);
                exit(1);
        }
        f->spent += seconds;
        if (counts)
                f->value[f->n++] = in_unit(item, seconds);
}

static int
ascending(const void *a, const void *b)
{
        double x = *(const double *) a, y = *(const double *) b;

        return (x > y) - (x < y);
}

/* Of sorted figures, between two of them where it falls there. */
static double
quantile(const struct figures *f, double share)
{
        double   at = share * (f->n - 1);
        unsigned i = (unsigned) at;

        return i + 1 < f->n ? f->value[i] + (at - i) * (f->value[i + 1] - f->value[i])
                            : f->value[i];
}

/* The processor's name, for the last columns. */
static void
find_machine(char *name, size_t size)
{
        char  line[256];
        FILE *f = fopen("/proc/cpuinfo", "r");

        snprintf(name, size, "unknown");
        while (f != NULL && fgets(line, sizeof line, f) != NULL) {
                char *colon = strchr(line, ':');
                if (strncmp(line, "model name", 10) != 0 || colon == NULL)
                        continue;
                snprintf(name, size, "%.*s", (int) strcspn(colon + 2, "\n"), colon + 2);
                break;
        }
        if (f != NULL)
                fclose(f);
        for (; *name != '\0'; name++)
                if (*name == ',' || *name == '"')
                        *name = ' ';
}

static void
print_item(const struct bench_item *item, struct figures *f, const char *machine)
{
        const char *commit = getenv("BENCH_COMMIT");

        qsort(f->value, f->n, sizeof f->value[0], ascending);
        printf("%s,%s,%s,%u,%.5g,%.5g,%.5g,%.5g,%.5g,", item->name, item->what, item->unit, f->n,
               quantile(f, 0.5), f->value[0], f->value[f->n - 1], quantile(f, 0.25),
               quantile(f, 0.75));
        for (unsigned i = 0; i < f->n; i++)
                printf("%s%.5g", i > 0 ? " " : "", f->value[i]);
        printf(",%s,%s\n", machine, commit != NULL ? commit : "");
}

static bool
is_wanted(const struct bench_options *o, const struct bench_item *item)
{
        return o->only == NULL || strstr(item->name, o->only) != NULL ||
               strstr(item->what, o->only) != NULL;
}

/* Also what is not wanted itself but makes what something wanted reads. */
static bool
is_needed(const struct bench_options *o, const struct bench_item *item, size_t n, size_t i)
{
        for (size_t j = i; j < n; j++)
                if (item[j].context == item[i].context && is_wanted(o, &item[j]))
                        return true;
        return false;
}

void
bench_run(const struct bench_options *o, const struct bench_item *item, size_t n)
{
        struct figures *f = bench_memory(n * sizeof *f);
        char            machine[128];

        memset(f, 0, n * sizeof *f);
        find_machine(machine, sizeof machine);
        for (size_t i = 0; i < n; i++)
                if (is_needed(o, item, n, i))
                        time_item(&item[i], false, &f[i]);
        for (unsigned round = 0; round < o->rounds; round++)
                for (size_t i = 0; i < n; i++)
                        if (is_wanted(o, &item[i]) &&
                            (f[i].n < ROUNDS_MIN || f[i].spent < ENOUGH_SECONDS))
                                time_item(&item[i], true, &f[i]);
        puts("name,what,unit,rounds,median,min,max,lower_quartile,upper_quartile,samples,"
             "machine,commit");
        for (size_t i = 0; i < n; i++)
                if (f[i].n > 0)
                        print_item(&item[i], &f[i], machine);
        fflush(stdout);
        free(f);
}
