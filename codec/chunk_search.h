/* codec/chunk_search.h - what the encoder of a plane tries: lattices and candidates.
 *
 * A proposal is a grid that may suit the plane, or one grid for each column; a
 * lattice is the plane's values laid on it; a candidate is a lattice with a
 * family's prediction, or plain storage.  chunk_propose.c finds proposals,
 * chunk_sample.c thins them out on a part of a large plane, chunk_encode.c codes
 * candidates and proves the smallest.  Encoders only: nothing here is part of the
 * format.
 *
 * Thread safety: a search belongs to one thread.
 */
#ifndef CAEFS_CODEC_CHUNK_SEARCH_H
#define CAEFS_CODEC_CHUNK_SEARCH_H

#include "codec/chunk_plane.h"
#include "codec/grid_fit.h"

#define MAX_LATTICES   8
#define MAX_CANDIDATES 40

struct proposal {
        struct grid *grid;              /* (ngrids) */
        size_t       ngrids;            /* 1, or the plane's columns */
        bool         with_fill;         /* fill values are holes */
};

/* The plane's values on one grid, or on one grid for each column. */
struct lattice {
        struct grid *grid;
        size_t       ngrids;
        void        *integers;          /* (count) as wide as the grids */
        uint8_t     *hole;              /* (count) */
        bool         holes;             /* any */
        uint8_t     *sign;              /* (count), or NULL: no sign is set */
        bool         again;             /* as an earlier one: not to be tried */
        double       beside_bits;       /* estimate for holes and signs */
        double       table_bits;        /* estimate for tables */
};

struct candidate {
        unsigned              head;     /* without HEAD_PATCH */
        const struct lattice *lattice;  /* NULL: stored without prediction */
        struct prediction     prediction;
        double                bits;     /* estimate, with the lattice's */
        bool                  as_it_is; /* not predicted */
        struct bytes          body;     /* all that follows the patch, when coded */
        struct bytes          patch;
        uint8_t              *where;    /* (count): what the patch holds; NULL: nothing */
        bool                  coded;
        bool                  proved;
};

/* A value that occurs so often, and so far from the others, that it marks what is
 * not there: land, a missing measurement. */
struct fill_value {
        bool     found;
        bool     far;           /* spoils the range of the others */
        uint64_t bits;
        bool     repeats;       /* found or not: values of the sample come more than once,
                                 * as they do where at most GRID_TABLE_LIMIT differ */
};

struct search {
        const struct plane         *plane;
        const struct plane_bound   *bound;
        const struct chunk_options *options;
        const void                 *values;     /* (count), host order */
        struct arena               *arena;
        struct value_statistics    *statistics; /* (columns) */
        struct fill_value           fill;       /* of a plane with one grid */
        struct proposal             proposal[MAX_LATTICES];     /* most promising first */
        size_t                      nproposals;
        struct lattice              lattice[MAX_LATTICES];
        size_t                      nlattices;
        struct candidate            candidate[MAX_CANDIDATES];
        size_t                      ncandidates;
        const struct candidate     *decoded;    /* what was written and decoded last: */
        struct bytes                coded;      /* what was written, */
        struct chunk_report         errors;     /* and its worst errors */
};

/* Fills in statistics, fill value and proposals. */
enum caefs_err search_propose(struct search *s);

/* Lays the plane on PROPOSAL and adds the lattice to the search. */
enum caefs_err lattice_add(struct search *s, const struct proposal *proposal);

/* Adds the candidate that family NUMBER makes of L, if it applies. */
enum caefs_err candidate_add(struct search *s, const struct lattice *l, enum family number);

/* A proposal with a family to predict its lattice. */
struct choice {
        const struct proposal *proposal;
        enum family            family;
        double                 bits;    /* estimate for the whole plane; 0: not known */
};

/* A second choice is of use where it is estimated within this of the best. */
#define CHOICE_CLOSE 1.01

#define MAX_CHOICES 2

/* True when the plane is so large that a part of it should choose.  Where values repeat
 * the best coding may lie in what is far apart, which no part shows; a model's blocks
 * begin where the plane does. */
bool sample_pays(const struct search *s);

/* Tries every proposal and family on a part of the plane; CHOICE becomes the *N
 * that may be worth to be tried on all of it, in this order. */
enum caefs_err sample_choose(const struct search *s, struct choice choice[MAX_CHOICES],
                             size_t *n);

/* True when G gives values back bit for bit. */
bool grid_is_exact(const struct grid *g);

/* grid_forward() with holes where an exact grid does not give the value back.
 * SCRATCH has room for the values with their stride. */
void grid_lay(const struct grid *g, const void *values, size_t n, size_t stride, void *scratch,
              void *integers, uint8_t *hole);

/* The value that occurs most often in a sample of (n) values, if it looks like a
 * fill value. */
struct fill_value fill_value_find(enum dtype t, const void *values, size_t n);

#endif
