/* codec/rans_model.c - choosing, storing and normalising frequency tables. */
#include "codec/rans_model.h"

#include <math.h>

const uint8_t rans_level_start[RANS_LEVELS] = {
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
        16, 18, 20, 23, 26, 30, 34, 39, 45, 52, 60, 69, 79, 90, 102, 115
};

/* 65536 * 2^(i / 16). */
static const uint32_t power_of_two[16] = {
        65536, 68438, 71468, 74632, 77936, 81386, 84990, 88752,
        92682, 96785, 101070, 105545, 110218, 115098, 120194, 125515
};

/* Octaves between the most frequent token and the rarest. */
#define OCTAVES 12

void
rans_level_table(uint8_t level_of_sum[RANS_SUMS])
{
        unsigned level = 0;

        for (unsigned sum = 0; sum < RANS_SUMS; sum++) {
                while (level + 1 < RANS_LEVELS && rans_level_start[level + 1] <= sum)
                        level++;
                level_of_sum[sum] = (uint8_t) level;
        }
}

void
rans_contexts_of(struct rans_contexts *c, const struct rans_model *m)
{
        rans_level_table(c->class_of_sum);
        c->nclasses = m->nclasses;
        c->class_start[0] = 0;
        for (unsigned level = 1; level < RANS_LEVELS; level++)
                if (m->class_of_level[level] != m->class_of_level[level - 1])
                        c->class_start[m->class_of_level[level]] = rans_level_start[level];
        for (unsigned sum = 0; sum < RANS_SUMS; sum++)
                c->class_of_sum[sum] = m->class_of_level[c->class_of_sum[sum]];
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

/* A table's price, about: what its tokens and its presence take. */
static const double bits_a_token = 3.5, bits_a_class = 4;

/* Entropy of COUNT plus its table's price. */
static double
class_cost(const uint32_t *count, unsigned ntokens)
{
        double sum = 0, bits = bits_a_class;

        for (unsigned t = 0; t < ntokens; t++) {
                if (count[t] == 0)
                        continue;
                sum += count[t];
                bits += bits_a_token - count[t] * (double) log2f((float) count[t]);
        }
        return sum > 0 ? bits + sum * log2(sum) : 0;
}

/* Levels put together into classes. */
struct partition {
        unsigned nclasses;
        uint8_t  first[RANS_LEVELS];    /* level each class begins with */
        double   cost[RANS_LEVELS];     /* of each class */
        double   joined[RANS_LEVELS];   /* of each class and the next as one */
        uint32_t count[RANS_LEVELS][TOKEN_LIMIT];
};

static double
joined_cost(const struct partition *p, unsigned i, unsigned ntokens)
{
        uint32_t both[TOKEN_LIMIT];

        for (unsigned t = 0; t < ntokens; t++)
                both[t] = p->count[i][t] + p->count[i + 1][t];
        return class_cost(both, ntokens);
}

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
                p->joined[i] = joined_cost(p, i, ntokens);
        if (i > 0)
                p->joined[i - 1] = joined_cost(p, i - 1, ntokens);
}

/* Joins neighbouring classes while that is smaller, or while there are too many. */
static void
choose_classes(struct partition *p, const struct rans_histogram *h)
{
        unsigned n = h->ntokens;

        p->nclasses = RANS_LEVELS;
        for (unsigned i = 0; i < RANS_LEVELS; i++) {
                p->first[i] = (uint8_t) i;
                memcpy(p->count[i], h->count[i], n * sizeof p->count[i][0]);
                p->cost[i] = class_cost(p->count[i], n);
        }
        for (unsigned i = 0; i + 1 < RANS_LEVELS; i++)
                p->joined[i] = joined_cost(p, i, n);
        while (p->nclasses > 1) {
                unsigned best = 0;
                double least = INFINITY;
                for (unsigned i = 0; i + 1 < p->nclasses; i++) {
                        double more = p->joined[i] - p->cost[i] - p->cost[i + 1];
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

double
rans_histogram_cost(const struct rans_histogram *h)
{
        struct partition p;
        double bits = 0;

        choose_classes(&p, h);
        for (unsigned i = 0; i < p.nclasses; i++)
                bits += p.cost[i];
        return bits;
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
