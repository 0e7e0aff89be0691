/* codec/chunk_search.h - what the encoder of a plane tries: lattices and candidates.
 *
 * A lattice is the plane's values laid on a grid (or on one for each column); a
 * candidate is a lattice with a family's prediction, or plain storage.
 * chunk_lattice.c proposes lattices, chunk_encode.c codes candidates and proves
 * the smallest.  Encoders only: nothing here is part of the format.
 *
 * Thread safety: a search belongs to one thread.
 */
#ifndef CAEFS_CODEC_CHUNK_SEARCH_H
#define CAEFS_CODEC_CHUNK_SEARCH_H

#include "codec/chunk_plane.h"
#include "codec/grid_fit.h"

#define MAX_LATTICES   8
#define MAX_CANDIDATES 40

/* The plane's values on one grid, or on one grid for each column. */
struct lattice {
        struct grid *grid;
        size_t       ngrids;
        void        *integers;          /* (count) as wide as the grids */
        uint8_t     *hole;              /* (count) */
        bool         holes;             /* any */
        uint8_t     *sign;              /* (count), or NULL: no sign is set */
};

struct candidate {
        unsigned              head;     /* without HEAD_PATCH */
        const struct lattice *lattice;  /* NULL: stored without prediction */
        struct prediction     prediction;
        double                bits;     /* estimate */
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
};

struct search {
        const struct plane         *plane;
        const struct plane_bound   *bound;
        const struct chunk_options *options;
        const void                 *values;     /* (count), host order */
        struct arena               *arena;
        struct value_statistics    *statistics; /* (columns) */
        struct fill_value           fill;       /* of a plane with one grid */
        struct lattice              lattice[MAX_LATTICES];
        size_t                      nlattices;
        struct candidate            candidate[MAX_CANDIDATES];
        size_t                      ncandidates;
        const struct candidate     *decoded;    /* what was written and decoded last: */
        struct bytes                coded;      /* what was written, */
        struct chunk_report         errors;     /* and its worst errors */
};

/* Fills in statistics and fill value, and proposes lattices, most promising first. */
enum caefs_err search_lattices(struct search *s);

/* The value that occurs most often in a sample of (n) values, if it looks like a
 * fill value. */
struct fill_value fill_value_find(enum dtype t, const void *values, size_t n);

#endif
