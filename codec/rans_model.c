/* codec/rans_model.c - choosing, storing and normalising frequency tables. */
#include "codec/rans_model.h"

#include "codec/cpu.h"

#include <math.h>

/* 65536 * 2^(i / 16). */
static const uint32_t power_of_two[16] = {
        65536, 68438, 71468, 74632, 77936, 81386, 84990, 88752,
        92682, 96785, 101070, 105545, 110218, 115098, 120194, 125515
};

/* Octaves between the most frequent token and the rarest. */
#define OCTAVES 12

void
rans_contexts_of(struct rans_contexts *c, const struct rans_model *m)
{
        uint8_t level[RANS_SUMS];

        c->nclasses = m->nclasses;
        for (unsigned sum = 0; sum < RANS_SUMS; sum++)
                level[sum] = rans_level_of((uint8_t) sum);
        for (unsigned sum = RANS_SUMS; sum-- > 0;) {
                uint8_t class = m->class_of_level[level[sum]];
                c->class_of_sum[sum] = class;
                c->class_start[class] = (uint8_t) sum;
        }
}

static unsigned
top_step(struct rans_precision precision)
{
        return (OCTAVES << (precision.fineness + 1)) + 1;
}

/* Frequencies from steps: proportional to 2^(step / fineness), at least 1, and
 * what rounding leaves over goes to the first of the largest. */
static void
normalise(struct rans_class *c, unsigned ntokens, struct rans_precision precision)
{
        const unsigned shift = precision.fineness + 1;
        uint64_t weight[TOKEN_LIMIT], sum = 0;
        uint32_t total = 1u << precision.scale, used = 0, given = 0;
        unsigned largest = 0;

        for (unsigned t = 0; t < ntokens; t++) {
                unsigned s = c->step[t] == 0 ? 0 : c->step[t] - 1u;
                unsigned sixteenths = (s & ((1u << shift) - 1)) << (4 - shift);
                weight[t] = c->step[t] == 0 ? 0 : (uint64_t) power_of_two[sixteenths] << (s >> shift);
                sum += weight[t];
                used += c->step[t] != 0;
                if (c->step[t] > c->step[largest])
                        largest = t;
        }
        for (unsigned t = 0; t < ntokens; t++) {
                c->frequency[t] = c->step[t] == 0 ? 0 :
                        (uint16_t) (1 + weight[t] * (total - used) / sum);
                given += c->frequency[t];
        }
        c->frequency[largest] = (uint16_t) (c->frequency[largest] + total - given);
        /* The table entry has 12 bits for it; one slot then stays unused. */
        if (c->frequency[largest] == 1u << RANS_SCALE_MAX)
                c->frequency[largest]--;
        for (unsigned t = 0, at = 0; t < ntokens; t++) {
                c->start[t] = (uint16_t) at;
                at += c->frequency[t];
        }
}

/* Steps nearest to the logarithms of COUNT. */
static void
set_steps(struct rans_class *c, const uint32_t *count, unsigned ntokens,
          struct rans_precision precision)
{
        uint32_t largest = 1;

        for (unsigned t = 0; t < ntokens; t++)
                if (count[t] > largest)
                        largest = count[t];
        for (unsigned t = 0; t < ntokens; t++) {
                double below = count[t] == 0 ? 0 :
                        log2((double) largest / count[t]) * (2 << precision.fineness);
                int step = (int) top_step(precision) - (int) (below + 0.5);
                c->step[t] = (uint8_t) (count[t] == 0 ? 0 : step < 1 ? 1 : step);
        }
}

/* Costs are whole quarters of a bit, so that they do not depend on the order in which
 * they are summed: the loops vectorise. */
#define QUARTERS(bits) ((int64_t) ((bits) * 4))

/* A table's price, about: what its tokens and its presence take. */
static const int64_t cost_a_token = QUARTERS(3.5), cost_a_class = QUARTERS(4);

/* N log2(N), at most 2^24 being taken for N.  The polynomial for log2(1 + z), fitted by
 * least squares, is right to 5e-5. */
static inline int32_t
n_log_n(uint32_t n)
{
        float x = (float) (int32_t) (n < 1 << 24 ? n : 1 << 24), m;
        uint32_t bits;

        memcpy(&bits, &x, sizeof bits);
        float exponent = (float) ((int32_t) (bits >> 23) - 127);
        bits = (bits & 0x7fffff) | 0x3f800000;
        memcpy(&m, &bits, sizeof m);
        float z = m - 1;
        float bend = 0.442454f + (-0.270160f + (0.152021f - 0.0458415f * z) * z) * z;
        return (int32_t) (x * (exponent + z + z * (1 - z) * bend) * 4);
}

/* Entropy of the sum of A and B plus its table's price. */
static inline __attribute__((always_inline)) int64_t
cost_of_sum(const uint32_t *a, const uint32_t *b, unsigned ntokens)
{
        int64_t spared = 0;
        uint32_t sum = 0, tokens = 0;

        for (unsigned t = 0; t < ntokens; t++) {
                uint32_t count = a[t] + b[t];
                sum += count;
                tokens += count > 0;
                spared += n_log_n(count);
        }
        return sum == 0 ? 0 : cost_a_class + cost_a_token * tokens + n_log_n(sum) - spared;
}

#if defined(__x86_64__)
TARGET_AVX2 static int64_t
cost_of_sum_avx2(const uint32_t *a, const uint32_t *b, unsigned ntokens)
{
        return cost_of_sum(a, b, ntokens);
}
#endif

/* Whole vectors are read: there are TOKEN_LIMIT counts, 0 from NTOKENS on. */
static int64_t
joined_cost(const uint32_t *a, const uint32_t *b, unsigned ntokens)
{
        ntokens = (ntokens + 7) / 8 * 8;
#if defined(__x86_64__)
        if (cpu_level() != CPU_PLAIN)
                return cost_of_sum_avx2(a, b, ntokens);
#endif
        return cost_of_sum(a, b, ntokens);
}

static int64_t
class_cost(const uint32_t *count, unsigned ntokens)
{
        static const uint32_t none[TOKEN_LIMIT];

        return joined_cost(count, none, ntokens);
}

/* Levels put together into classes. */
struct partition {
        unsigned nclasses;
        uint8_t  first[RANS_LEVELS];    /* level each class begins with */
        int64_t  cost[RANS_LEVELS];     /* of each class */
        int64_t  joined[RANS_LEVELS];   /* of each class and the next as one */
        uint32_t count[RANS_LEVELS][TOKEN_LIMIT];
};

/* Class I takes in the next one. */
static void
join_classes(struct partition *p, unsigned i, unsigned ntokens)
{
        for (unsigned t = 0; t < ntokens; t++)
                p->count[i][t] += p->count[i + 1][t];
        p->cost[i] = p->joined[i];
        for (unsigned k = i + 1; k + 1 < p->nclasses; k++) {
                p->first[k] = p->first[k + 1];
                p->cost[k] = p->cost[k + 1];
                p->joined[k] = p->joined[k + 1];
                memcpy(p->count[k], p->count[k + 1], ntokens * sizeof p->count[k][0]);
        }
        p->nclasses--;
        if (i + 1 < p->nclasses)
                p->joined[i] = joined_cost(p->count[i], p->count[i + 1], ntokens);
        if (i > 0)
                p->joined[i - 1] = joined_cost(p->count[i - 1], p->count[i], ntokens);
}

/* Joins neighbouring classes while that is smaller, or while there are too many. */
static void
choose_classes(struct partition *p, const struct rans_histogram *h)
{
        unsigned n = h->ntokens;

        p->nclasses = RANS_LEVELS;
        for (unsigned i = 0; i < RANS_LEVELS; i++) {
                p->first[i] = (uint8_t) i;
                memcpy(p->count[i], h->count[i], sizeof p->count[i]);
                p->cost[i] = class_cost(p->count[i], n);
        }
        for (unsigned i = 0; i + 1 < RANS_LEVELS; i++)
                p->joined[i] = joined_cost(p->count[i], p->count[i + 1], n);
        while (p->nclasses > 1) {
                unsigned best = 0;
                int64_t least = INT64_MAX;
                for (unsigned i = 0; i + 1 < p->nclasses; i++) {
                        int64_t more = p->joined[i] - p->cost[i] - p->cost[i + 1];
                        if (more < least) {
                                least = more;
                                best = i;
                        }
                }
                if (least > 0 && p->nclasses <= RANS_CLASSES)
                        break;
                join_classes(p, best, n);
        }
}

void
rans_outline_of(struct rans_outline *o, const struct rans_histogram *h)
{
        *o = (struct rans_outline) { .ntokens = h->ntokens };
        for (unsigned level = 0; level < RANS_LEVELS; level++) {
                /* Groups of 1, 2, 3, 4, 6 levels, and what is left in fives and sixes. */
                static const uint8_t group[RANS_LEVELS] = {
                        0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4,
                        5, 5, 5, 5, 5, 6, 6, 6, 6, 6, 7, 7, 7, 7, 7, 7
                };
                for (unsigned t = 0; t < h->ntokens; t++)
                        o->count[group[level]][t] += h->count[level][t];
        }
}

void
rans_outline_add(struct rans_outline *to, const struct rans_outline *o)
{
        if (o->ntokens > to->ntokens)
                to->ntokens = o->ntokens;
        for (unsigned g = 0; g < RANS_GROUPS; g++)
                for (unsigned t = 0; t < o->ntokens; t++)
                        to->count[g][t] += o->count[g][t];
}

int64_t
rans_outline_cost(const struct rans_outline *a, const struct rans_outline *b)
{
        unsigned ntokens = a->ntokens > b->ntokens ? a->ntokens : b->ntokens;
        int64_t cost = 0;

        for (unsigned g = 0; g < RANS_GROUPS; g++)
                cost += joined_cost(a->count[g], b->count[g], ntokens);
        return cost;
}

bool
rans_model_build(struct rans_model *m, const struct rans_histogram *h,
                 struct rans_precision precision, struct arena *arena)
{
        struct partition p;

        choose_classes(&p, h);
        m->nclasses = p.nclasses;
        m->ntokens = h->ntokens;
        m->class = arena_array(arena, m->nclasses, sizeof *m->class);
        if (m->class == NULL)
                return false;
        for (unsigned i = 0; i < p.nclasses; i++) {
                unsigned end = i + 1 < p.nclasses ? p.first[i + 1] : RANS_LEVELS;
                for (unsigned level = p.first[i]; level < end; level++)
                        m->class_of_level[level] = (uint8_t) i;
                set_steps(&m->class[i], p.count[i], m->ntokens, precision);
                normalise(&m->class[i], m->ntokens, precision);
        }
        return true;
}

/* Contexts in which steps are stored. */
struct step_coder {
        struct adaptive_bit    present[2][3][3];        /* by class before, tokens before */
        struct adaptive_number difference[3];           /* by where the forecast is from */
};

static void
step_coder_init(struct step_coder *s)
{
        struct adaptive_bit *bit = &s->present[0][0][0];

        for (size_t i = 0; i < sizeof s->present / sizeof *bit; i++)
                bit[i] = ADAPTIVE_BIT;
        for (size_t i = 0; i < 3; i++)
                adaptive_number_init(&s->difference[i]);
}

/* How a step is foretold: from the class before and from tokens before. */
struct step_forecast {
        struct adaptive_bit    *present;
        struct adaptive_number *difference;
        int                     step;
};

static struct step_forecast
forecast_step(struct step_coder *s, const struct rans_class *before, const struct rans_class *now,
              unsigned token, unsigned top)
{
        unsigned one = token >= 1 ? 1u + (now->step[token - 1] != 0) : 0;
        unsigned two = token >= 2 ? 1u + (now->step[token - 2] != 0) : 0;
        unsigned above = before != NULL ? before->step[token] : 0;
        struct step_forecast f = { .present = &s->present[above != 0][one][two] };

        /* Tokens alternate in sign, so the one before the last is the nearest. */
        if (above != 0) {
                f.step = (int) above;
                f.difference = &s->difference[0];
                if (token >= 2 && now->step[token - 2] != 0 && before->step[token - 2] != 0)
                        f.step += now->step[token - 2] - before->step[token - 2];
        } else if (two == 2) {
                f.step = now->step[token - 2];
                f.difference = &s->difference[1];
        } else {
                f.step = one == 2 ? now->step[token - 1] : (int) top;
                f.difference = &s->difference[2];
        }
        if (f.step < 1)
                f.step = 1;
        if (f.step > (int) top)
                f.step = (int) top;
        return f;
}

/* Which levels begin a class. */
static void
write_levels(const struct rans_model *m, struct binary_encoder *e)
{
        struct adaptive_bit begins = ADAPTIVE_BIT;

        for (unsigned level = 1; level < RANS_LEVELS; level++)
                adaptive_encode(e, &begins, m->class_of_level[level] !=
                                            m->class_of_level[level - 1]);
}

static void
read_levels(struct rans_model *m, struct binary_decoder *d)
{
        struct adaptive_bit begins = ADAPTIVE_BIT;
        unsigned class = 0;

        m->class_of_level[0] = 0;
        for (unsigned level = 1; level < RANS_LEVELS; level++) {
                class += adaptive_decode(d, &begins);
                m->class_of_level[level] = (uint8_t) class;
        }
        m->nclasses = class + 1;
}

void
rans_model_write(const struct rans_model *m, struct rans_precision precision,
                 struct binary_encoder *e)
{
        struct step_coder s;
        struct adaptive_number count;

        adaptive_number_init(&count);
        step_coder_init(&s);
        adaptive_number_encode(e, &count, m->ntokens - 1);
        write_levels(m, e);
        for (unsigned i = 0; i < m->nclasses; i++) {
                const struct rans_class *now = &m->class[i];
                for (unsigned t = 0; t < m->ntokens; t++) {
                        struct step_forecast f = forecast_step(&s, i > 0 ? now - 1 : NULL, now, t,
                                                               top_step(precision));
                        adaptive_encode(e, f.present, now->step[t] != 0);
                        if (now->step[t] != 0)
                                adaptive_number_encode(e, f.difference, (uint32_t)
                                                       zigzag_encode(now->step[t] - f.step));
                }
        }
}

/* One class; false when a step is impossible or no token occurs. */
static bool
read_class(struct step_coder *s, const struct rans_class *before, struct rans_class *now,
           unsigned ntokens, unsigned top, struct binary_decoder *d)
{
        bool any = false;

        for (unsigned t = 0; t < ntokens; t++) {
                struct step_forecast f = forecast_step(s, before, now, t, top);
                now->step[t] = 0;
                if (!adaptive_decode(d, f.present))
                        continue;
                int64_t step = f.step + zigzag_decode(adaptive_number_decode(d, f.difference));
                if (step < 1 || step > (int) top)
                        return false;
                now->step[t] = (uint8_t) step;
                any = true;
        }
        return any;
}

enum caefs_err
rans_model_read(struct rans_model *m, unsigned ntokens, struct rans_precision precision,
                struct binary_decoder *d, struct arena *arena)
{
        struct step_coder s;
        struct adaptive_number count;

        adaptive_number_init(&count);
        step_coder_init(&s);
        uint32_t used = adaptive_number_decode(d, &count);
        read_levels(m, d);
        if (used >= ntokens || m->nclasses > RANS_CLASSES)
                return caefs_fail(CAEFS_ERR_CORRUPT, "residuals: impossible table size");
        m->ntokens = used + 1;
        m->class = arena_array(arena, m->nclasses, sizeof *m->class);
        if (m->class == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for tables");
        for (unsigned i = 0; i < m->nclasses; i++) {
                struct rans_class *now = &m->class[i];
                if (!read_class(&s, i > 0 ? now - 1 : NULL, now, m->ntokens,
                                top_step(precision), d))
                        return caefs_fail(CAEFS_ERR_CORRUPT, "residuals: impossible table");
                normalise(now, m->ntokens, precision);
        }
        return CAEFS_OK;
}

void
rans_decode_table(const struct rans_class *c, unsigned ntokens, unsigned scale, uint32_t *table)
{
        uint32_t at = 0;

        for (unsigned t = 0; t < ntokens; t++) {
                uint32_t entry = t | (uint32_t) c->frequency[t] << 8;
                /* Eights vectorise; what is too many is written over by the next. */
                for (uint32_t i = 0; i < c->frequency[t]; i += 8)
                        for (uint32_t k = 0; k < 8; k++)
                                table[at + i + k] = entry | (i + k) << 20;
                at += c->frequency[t];
        }
        /* A slot that nothing was given decodes to something harmless. */
        while (at < 1u << scale)
                table[at++] = 1u << 8;
}
