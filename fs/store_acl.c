/* fs/store_acl.c - POSIX ACLs (POSIX.1e draft 17): the kernel decides by them, and the
 * store keeps them in step with the mode and hands them down.
 *
 * They are extended attributes in the form that Linux gives them (linux/posix_acl_xattr.h):
 * a version of 32 bits, then entries of a tag and permissions, 16 bits each, and an id of
 * 32, all little-endian, in the order of enum acl_tag.  They are changed where they lie.
 */
#include <endian.h>
#include <inttypes.h>
#include <string.h>

#include "fs/store_internal.h"

#define ACL_VERSION 2
#define HEADER_SIZE sizeof(uint32_t)
#define ENTRY_SIZE  8

enum acl_tag {
        ACL_OWNER = 0x01, ACL_USER = 0x02, ACL_GROUP = 0x04, ACL_NAMED_GROUP = 0x08,
        ACL_MASK = 0x10, ACL_OTHER = 0x20,
};

bool
acl_is_name(const char *name)
{
        return strcmp(name, ACL_ACCESS) == 0 || strcmp(name, ACL_DEFAULT) == 0;
}

static size_t
entries_of(const struct bytes *acl)
{
        return (acl->size - HEADER_SIZE) / ENTRY_SIZE;
}

static unsigned
tag_of(const struct bytes *acl, size_t i)
{
        uint16_t tag;

        memcpy(&tag, acl->data + HEADER_SIZE + i * ENTRY_SIZE, sizeof tag);
        return le16toh(tag);
}

static unsigned
permissions_of(const struct bytes *acl, size_t i)
{
        uint16_t permissions;

        memcpy(&permissions, acl->data + HEADER_SIZE + i * ENTRY_SIZE + 2, sizeof permissions);
        return le16toh(permissions);
}

static void
set_permissions(struct bytes *acl, size_t i, unsigned permissions)
{
        const uint16_t stored = htole16((uint16_t) permissions);

        memcpy(acl->data + HEADER_SIZE + i * ENTRY_SIZE + 2, &stored, sizeof stored);
}

/* Tags in their order, those of owner, group and others once each, a mask at most once and
 * where somebody is named. */
static bool
is_valid(const struct bytes *acl)
{
        struct cursor header = cursor_of(acl->data, acl->size);
        unsigned      seen = 0, last = 0;

        if (cursor_u32(&header) != ACL_VERSION || cursor_left(&header) % ENTRY_SIZE != 0)
                return false;
        for (size_t i = 0; i < entries_of(acl); i++) {
                const unsigned tag = tag_of(acl, i);
                const bool     is_named = tag == ACL_USER || tag == ACL_NAMED_GROUP;

                if (permissions_of(acl, i) > 7 || tag < last || (tag == last && !is_named))
                        return false;
                if (tag != ACL_OWNER && tag != ACL_GROUP && tag != ACL_MASK &&
                    tag != ACL_OTHER && !is_named)
                        return false;
                seen |= tag;
                last = tag;
        }
        if ((seen & (ACL_USER | ACL_NAMED_GROUP)) && !(seen & ACL_MASK))
                return false;
        return (seen & ACL_OWNER) && (seen & ACL_GROUP) && (seen & ACL_OTHER);
}

/* It says no more than the nine bits of a mode. */
static bool
is_plain(const struct bytes *acl)
{
        return entries_of(acl) == 3;
}

/* The bits of a mode that entry I stands for, as a shift; -1: it stands for none.  The
 * group's bits are the mask's where there is one. */
static int
shift_of(const struct bytes *acl, size_t i)
{
        switch (tag_of(acl, i)) {
        case ACL_OWNER: return 6;
        case ACL_GROUP: return is_plain(acl) ? 3 : -1;
        case ACL_MASK:  return 3;
        case ACL_OTHER: return 0;
        default:        return -1;
        }
}

/* An ACL may have a mask and name nobody: then the group's entry is one of four. */
static uint32_t
mode_of(const struct bytes *acl)
{
        uint32_t mode = 0;

        for (size_t i = 0; i < entries_of(acl); i++)
                if (shift_of(acl, i) >= 0)
                        mode |= permissions_of(acl, i) << shift_of(acl, i);
        return mode;
}

/* The entries that a mode speaks of say what it says. */
static void
follow_mode(struct bytes *acl, uint32_t mode)
{
        for (size_t i = 0; i < entries_of(acl); i++)
                if (shift_of(acl, i) >= 0)
                        set_permissions(acl, i, mode >> shift_of(acl, i) & 7);
}


/* The one that is stored, which is what Linux takes.  CAEFS_ERR_NO_ATTRIBUTE. */
static enum caefs_err
acl_read(struct store *s, uint64_t ino, const char *name, struct bytes *acl)
{
        enum caefs_err err = meta_xattr_read(s->meta, ino, name, acl);

        if (err == CAEFS_OK && !is_valid(acl))
                err = caefs_fail(CAEFS_ERR_CORRUPT, "inode %" PRIu64 ": its %s is damaged", ino,
                                 name);
        return err;
}

static enum caefs_err
acl_write(struct store *s, uint64_t ino, const char *name, const struct bytes *acl)
{
        return meta_xattr_write(s->meta, ino, name, acl->data, acl->size);
}

enum caefs_err
acl_set(struct store *s, struct meta_inode *row, const char *name, const void *value,
        size_t size)
{
        struct bytes   acl = { 0 };
        enum caefs_err err;

        if (strcmp(name, ACL_DEFAULT) == 0 && !S_ISDIR(row->mode))
                return CAEFS_ERR_ACCESS;
        bytes_put(&acl, value, size);
        if (acl.failed)
                err = CAEFS_ERR_NOMEM;
        else if (!is_valid(&acl))
                err = CAEFS_ERR_ARGUMENT;
        else if (strcmp(name, ACL_DEFAULT) == 0)
                err = acl_write(s, row->ino, name, &acl);
        else {
                row->mode = (row->mode & ~(uint32_t) 0777) | mode_of(&acl);
                err = is_plain(&acl) ? acl_remove(s, row->ino, name)
                                     : acl_write(s, row->ino, name, &acl);
        }
        bytes_free(&acl);
        return err;
}

enum caefs_err
acl_remove(struct store *s, uint64_t ino, const char *name)
{
        enum caefs_err err = meta_xattr_delete(s->meta, ino, name);

        return err == CAEFS_ERR_NO_ATTRIBUTE ? CAEFS_OK : err;
}

enum caefs_err
acl_follow_mode(struct store *s, const struct meta_inode *row)
{
        struct bytes acl = { 0 };

        if (!row->has_xattrs)
                return CAEFS_OK;
        enum caefs_err err = acl_read(s, row->ino, ACL_ACCESS, &acl);
        if (err == CAEFS_OK) {
                follow_mode(&acl, row->mode);
                err = acl_write(s, row->ino, ACL_ACCESS, &acl);
        }
        bytes_free(&acl);
        return err == CAEFS_ERR_NO_ATTRIBUTE ? CAEFS_OK : err;
}

enum caefs_err
acl_inherit(struct store *s, const struct meta_inode *parent, mode_t umask,
            struct meta_inode *row, struct bytes *acl)
{
        enum caefs_err err = CAEFS_ERR_NO_ATTRIBUTE;

        if (S_ISLNK(row->mode))
                return CAEFS_OK;
        if (parent->has_xattrs)
                err = acl_read(s, parent->ino, ACL_DEFAULT, acl);
        if (err == CAEFS_OK) {
                row->mode &= ~(uint32_t) 0777 | mode_of(acl);
                row->has_xattrs = S_ISDIR(row->mode) || !is_plain(acl);
        } else if (err == CAEFS_ERR_NO_ATTRIBUTE) {
                row->mode &= ~(uint32_t) (umask & 0777);
                err = CAEFS_OK;
        }
        return err;
}

enum caefs_err
acl_inherit_write(struct store *s, const struct meta_inode *row, struct bytes *acl)
{
        enum caefs_err err = CAEFS_OK;

        if (acl->size == 0)
                return CAEFS_OK;
        if (S_ISDIR(row->mode))
                err = acl_write(s, row->ino, ACL_DEFAULT, acl);
        follow_mode(acl, row->mode);
        if (err == CAEFS_OK && !is_plain(acl))
                err = acl_write(s, row->ino, ACL_ACCESS, acl);
        return err;
}
