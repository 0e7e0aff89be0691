/* meta/page_vfs.h - a checksum for every page of the catalogue.
 *
 * SQLite notices damage of its structure, not of the values in it.  So a VFS between SQLite and
 * the system keeps a checksum in the last eight bytes of every page of the database (SQLite
 * calls them reserved and leaves them alone) and compares it whenever a page is
 * read.  A page in which one bit was damaged is put right: the checksum tells
 * which.  Any other is told of, counted, and passed on: it may have been written by somebody's
 * SQLite without this, and what SQLite itself takes for damage it refuses.  A page that cannot
 * be read is SQLITE_CORRUPT for what touches it, and for that only.  A catalogue without reserved bytes is read and
 * written as it is.
 *
 * SQLite's log has checksums of its own.
 *
 * Thread safety: any thread.  A connection belongs to one thread at a time.
 */
#ifndef CAEFS_META_PAGE_VFS_H
#define CAEFS_META_PAGE_VFS_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#define PAGE_VFS_RESERVED 8     /* bytes of a page */

/* The name for sqlite3_open_v2(), of one without SQLite's file locks if LOCKS is false; NULL when it
 * cannot be registered. */
const char *page_vfs_name(bool locks);

/* Writes the checksum into PAGE (4096 bytes), which will be page NUMBER of a file. */
void page_vfs_seal(unsigned char *page, uint32_t number);

/* Reads all pages of DB, also those that SQLite would not, and tells of each that is or was damaged. */
typedef void page_vfs_tell(void *context, uint32_t page, bool is_mended);
void page_vfs_check(sqlite3 *db, page_vfs_tell *tell, void *context);

/* What DB has met since it was opened. */
struct page_vfs_damage {
        uint64_t mended;        /* reads of pages that one bit of was wrong */
        uint64_t unproved;      /* reads of pages that are damaged beyond that */
        uint32_t page;          /* the last of them; numbered from 1 */
};
struct page_vfs_damage page_vfs_damage(sqlite3 *db);

#endif
