/* meta/page_vfs.c - the VFS of meta/page_vfs.h: all but reading and writing is the system's. */
#include "meta/page_vfs.h"

#include <pthread.h>
#include <string.h>

#include <xxhash.h>

#include "common/log.h"

#define PAGE_SIZE     4096
#define DATA_SIZE     (PAGE_SIZE - PAGE_VFS_RESERVED)
#define RESERVED_AT   20        /* in page 1: how many bytes of a page are reserved */
#define HOPELESS      64        /* damaged pages that are remembered, so as not to try again */
#define ATTEMPTS      3

struct page_file {
        sqlite3_file           base;
        sqlite3_file          *real;            /* behind this struct */
        bool                   has_checksums;
        bool                   is_writable;
        struct page_vfs_damage damage;
        uint32_t               hopeless[HOPELESS];
        unsigned               nhopeless;
};

#define REAL(f) (((struct page_file *) (f))->real)

static const sqlite3_io_methods page_methods;

/* ---- checksums ---------------------------------------------------------- */

/* With the number of the page, so that one in the wrong place is found too. */
static uint64_t
checksum(const unsigned char *page, uint32_t number)
{
        return XXH3_64bits_withSeed(page, DATA_SIZE, number);
}

static uint64_t
stored_checksum(const unsigned char *page)
{
        uint64_t sum = 0;

        for (int i = 0; i < PAGE_VFS_RESERVED; i++)
                sum |= (uint64_t) page[DATA_SIZE + i] << 8 * i;
        return sum;
}

void
page_vfs_seal(unsigned char *page, uint32_t number)
{
        uint64_t sum = checksum(page, number);

        for (int i = 0; i < PAGE_VFS_RESERVED; i++)
                page[DATA_SIZE + i] = (unsigned char) (sum >> 8 * i);
}

static bool
is_right(const unsigned char *page, uint32_t number)
{
        return checksum(page, number) == stored_checksum(page);
}

/* Tries to change each bit: some milliseconds. */
static bool
mend(unsigned char *page, uint32_t number)
{
        uint64_t wanted = stored_checksum(page), difference = checksum(page, number) ^ wanted;

        /* The checksum itself may be what was damaged. */
        if ((difference & (difference - 1)) == 0) {
                page_vfs_seal(page, number);
                return true;
        }
        for (size_t bit = 0; bit < 8 * DATA_SIZE; bit++) {
                page[bit / 8] ^= (unsigned char) (1 << bit % 8);
                if (checksum(page, number) == wanted)
                        return true;
                page[bit / 8] ^= (unsigned char) (1 << bit % 8);
        }
        return false;
}

/* ---- reading and writing ------------------------------------------------ */

static bool
is_page(int n, sqlite3_int64 offset)
{
        return n == PAGE_SIZE && offset % PAGE_SIZE == 0;
}

static bool
is_hopeless(const struct page_file *f, uint32_t number)
{
        for (unsigned i = 0; i < HOPELESS; i++)
                if (f->hopeless[i] == number)
                        return true;
        return false;
}

/* A page whose checksum does not match: put right, on the disk too if that may be written, or
 * passed on as it is. */
static void
handle_damage(struct page_file *f, unsigned char *page, uint32_t number)
{
        f->damage.page = number;
        if (is_hopeless(f, number)) {
                f->damage.unproved++;
        } else if (!mend(page, number)) {
                f->damage.unproved++;
                f->hopeless[f->nhopeless++ % HOPELESS] = number;
                log_error("the catalogue: page %u does not match its checksum", number);
        } else {
                f->damage.mended++;
                log_warning("the catalogue: page %u was damaged in one bit and is put right",
                            number);
                if (f->is_writable)
                        f->real->pMethods->xWrite(f->real, page, PAGE_SIZE,
                                                  (sqlite3_int64) (number - 1) * PAGE_SIZE);
        }
}

/* A page that cannot be read at all is damaged like any other.  (For SQLite an error of
 * the system would be the end of the transaction, whose changes have nothing to do with it.) */
static int
read_page(struct page_file *f, unsigned char *page, sqlite3_int64 offset)
{
        uint32_t number = (uint32_t) (offset / PAGE_SIZE) + 1;
        int      code = f->real->pMethods->xRead(f->real, page, PAGE_SIZE, offset);

        if (code == SQLITE_IOERR_READ)
                return SQLITE_CORRUPT;
        if (code == SQLITE_OK && f->has_checksums && !is_right(page, number))
                handle_damage(f, page, number);
        return code;
}

/* SQLite looks at the beginning of the first page before it knows the size of pages, and
 * before it reads the log.  After a crash the page may be torn and the log have it whole: nothing
 * is told of it here. */
static int
read_header(struct page_file *f, void *data, int n, sqlite3_int64 offset)
{
        unsigned char page[PAGE_SIZE];
        int           code = f->real->pMethods->xRead(f->real, page, PAGE_SIZE, 0);

        if (code != SQLITE_OK)
                return f->real->pMethods->xRead(f->real, data, n, offset);
        if (!is_right(page, 1))
                mend(page, 1);
        memcpy(data, page + offset, (size_t) n);
        return SQLITE_OK;
}

static int
page_read(sqlite3_file *file, void *data, int n, sqlite3_int64 offset)
{
        struct page_file *f = (struct page_file *) file;

        if (is_page(n, offset))
                return read_page(f, data, offset);
        if (f->has_checksums && offset + n <= DATA_SIZE)
                return read_header(f, data, n, offset);
        return f->real->pMethods->xRead(f->real, data, n, offset);
}

static int
page_write(sqlite3_file *file, const void *data, int n, sqlite3_int64 offset)
{
        struct page_file *f = (struct page_file *) file;
        unsigned char     page[PAGE_SIZE];

        if (!is_page(n, offset))
                return f->real->pMethods->xWrite(f->real, data, n, offset);
        memcpy(page, data, PAGE_SIZE);
        if (offset == 0)
                f->has_checksums = page[RESERVED_AT] == PAGE_VFS_RESERVED;
        if (f->has_checksums)
                page_vfs_seal(page, (uint32_t) (offset / PAGE_SIZE) + 1);
        return f->real->pMethods->xWrite(f->real, page, n, offset);
}

/* ---- the rest is the system's ------------------------------------------- */

static int
page_close(sqlite3_file *f)
{
        return REAL(f)->pMethods == NULL ? SQLITE_OK : REAL(f)->pMethods->xClose(REAL(f));
}

static int
page_truncate(sqlite3_file *f, sqlite3_int64 size)
{
        return REAL(f)->pMethods->xTruncate(REAL(f), size);
}

static int
page_sync(sqlite3_file *f, int flags)
{
        return REAL(f)->pMethods->xSync(REAL(f), flags);
}

static int
page_size(sqlite3_file *f, sqlite3_int64 *size)
{
        return REAL(f)->pMethods->xFileSize(REAL(f), size);
}

static int
page_lock(sqlite3_file *f, int level)
{
        return REAL(f)->pMethods->xLock(REAL(f), level);
}

static int
page_unlock(sqlite3_file *f, int level)
{
        return REAL(f)->pMethods->xUnlock(REAL(f), level);
}

static int
page_check_lock(sqlite3_file *f, int *reserved)
{
        return REAL(f)->pMethods->xCheckReservedLock(REAL(f), reserved);
}

static int
page_control(sqlite3_file *f, int op, void *argument)
{
        return REAL(f)->pMethods->xFileControl(REAL(f), op, argument);
}

static int
page_sector(sqlite3_file *f)
{
        return REAL(f)->pMethods->xSectorSize(REAL(f));
}

static int
page_device(sqlite3_file *f)
{
        return REAL(f)->pMethods->xDeviceCharacteristics(REAL(f));
}

static int
page_shm_map(sqlite3_file *f, int region, int size, int extend, void volatile **out)
{
        return REAL(f)->pMethods->xShmMap(REAL(f), region, size, extend, out);
}

static int
page_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
        return REAL(f)->pMethods->xShmLock(REAL(f), offset, n, flags);
}

static void
page_shm_barrier(sqlite3_file *f)
{
        REAL(f)->pMethods->xShmBarrier(REAL(f));
}

static int
page_shm_unmap(sqlite3_file *f, int remove)
{
        return REAL(f)->pMethods->xShmUnmap(REAL(f), remove);
}

static const sqlite3_io_methods page_methods = {
        .iVersion = 2,          /* without memory mapping, which would pass by the checksums */
        .xClose = page_close,
        .xRead = page_read,
        .xWrite = page_write,
        .xTruncate = page_truncate,
        .xSync = page_sync,
        .xFileSize = page_size,
        .xLock = page_lock,
        .xUnlock = page_unlock,
        .xCheckReservedLock = page_check_lock,
        .xFileControl = page_control,
        .xSectorSize = page_sector,
        .xDeviceCharacteristics = page_device,
        .xShmMap = page_shm_map,
        .xShmLock = page_shm_lock,
        .xShmBarrier = page_shm_barrier,
        .xShmUnmap = page_shm_unmap,
};

/* ---- opening ------------------------------------------------------------ */

/* Has the database checksums?  Its first page says so, even a damaged one, when it can be put
 * right.  A writer may be at it: then it is read again. */
static bool
find_checksums(sqlite3_file *real)
{
        unsigned char page[PAGE_SIZE];
        sqlite3_int64 size;
        bool          found = false;

        if (real->pMethods->xFileSize(real, &size) != SQLITE_OK || size < PAGE_SIZE)
                return false;
        for (int i = 0; i < ATTEMPTS && !found; i++) {
                if (real->pMethods->xRead(real, page, PAGE_SIZE, 0) != SQLITE_OK)
                        return true;
                found = page[RESERVED_AT] == PAGE_VFS_RESERVED || is_right(page, 1);
        }
        return found || mend(page, 1);
}

static int
vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *out, int flags, int *out_flags)
{
        struct page_file *f = (struct page_file *) out;
        sqlite3_vfs      *real = vfs->pAppData;

        if (!(flags & SQLITE_OPEN_MAIN_DB))
                return real->xOpen(real, name, out, flags, out_flags);
        memset(f, 0, sizeof *f);
        f->real = (sqlite3_file *) (f + 1);
        f->is_writable = (flags & SQLITE_OPEN_READWRITE) != 0;
        int code = real->xOpen(real, name, f->real, flags, out_flags);
        if (f->real->pMethods == NULL)
                return code;
        f->base.pMethods = &page_methods;
        if (code == SQLITE_OK)
                f->has_checksums = find_checksums(f->real);
        return code;
}

/* Over BELOW, which for the default is what a test may have put there. */
static bool
layer(sqlite3_vfs *vfs, const char *name, const char *below)
{
        sqlite3_vfs *real = sqlite3_vfs_find(below);

        if (real == NULL || vfs->pAppData == real)
                return real != NULL;
        *vfs = *real;
        vfs->pNext = NULL;
        vfs->zName = name;
        vfs->pAppData = real;
        vfs->szOsFile = (int) sizeof(struct page_file) + real->szOsFile;
        vfs->xOpen = vfs_open;
        return sqlite3_vfs_register(vfs, 0) == SQLITE_OK;
}

const char *
page_vfs_name(bool locks)
{
        static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
        static sqlite3_vfs     with_locks, without_locks;
        sqlite3_vfs           *vfs = locks ? &with_locks : &without_locks;

        if (sqlite3_initialize() != SQLITE_OK)
                return NULL;
        pthread_mutex_lock(&lock);
        bool done = locks ? layer(vfs, "caefs-pages", NULL)
                          : layer(vfs, "caefs-pages-none", "unix-none");
        pthread_mutex_unlock(&lock);
        return done ? vfs->zName : NULL;
}

/* The file behind DB; NULL: it was not opened here. */
static struct page_file *
file_of(sqlite3 *db)
{
        sqlite3_file *file = NULL;

        if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK ||
            file == NULL || file->pMethods != &page_methods)
                return NULL;
        return (struct page_file *) file;
}

struct page_vfs_damage
page_vfs_damage(sqlite3 *db)
{
        const struct page_file *f = file_of(db);

        return f == NULL ? (struct page_vfs_damage) { 0 } : f->damage;
}

/* ---- all pages ---------------------------------------------------------- */

static bool
is_zero(const unsigned char *page)
{
        return page[0] == 0 && memcmp(page, page + 1, PAGE_SIZE - 1) == 0;
}

/* Pages that were never written are zero.  What a writer is just about to write is
 * read again. */
static int
check_page(struct page_file *f, uint32_t number)
{
        unsigned char page[PAGE_SIZE];
        sqlite3_int64 offset = (sqlite3_int64) (number - 1) * PAGE_SIZE;

        for (int i = 0; i < ATTEMPTS; i++) {
                int code = f->real->pMethods->xRead(f->real, page, PAGE_SIZE, offset);
                if (code == SQLITE_IOERR_SHORT_READ || is_zero(page) ||
                    (code == SQLITE_OK && is_right(page, number)))
                        return SQLITE_OK;
                sqlite3_sleep(1);
        }
        return read_page(f, page, offset);
}

void
page_vfs_check(sqlite3 *db, page_vfs_tell *tell, void *context)
{
        struct page_file *f = file_of(db);
        sqlite3_int64     size;

        if (f == NULL || !f->has_checksums ||
            f->real->pMethods->xFileSize(f->real, &size) != SQLITE_OK)
                return;
        for (uint32_t number = 1; number <= size / PAGE_SIZE; number++) {
                struct page_vfs_damage before = f->damage;
                int                    code = check_page(f, number);
                if (code != SQLITE_OK || f->damage.unproved > before.unproved)
                        tell(context, number, false);
                else if (f->damage.mended > before.mended)
                        tell(context, number, true);
        }
}
