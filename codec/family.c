/* codec/family.c - the families there are, by number and by name. */
#include "codec/predict.h"

#include <string.h>

static const struct family_methods *const families[FAMILY_LIMIT] = {
        [FAMILY_LORENZO] = &family_lorenzo,
        [FAMILY_PYRAMID] = &family_pyramid,
        [FAMILY_COLUMN] = &family_column,
        [FAMILY_CAE] = &family_cae,
        [FAMILY_RECALL] = &family_recall,
        [FAMILY_ECHO] = &family_echo,
        [FAMILY_FIELD] = &family_field,
        [FAMILY_TABLE] = &family_table,
        [FAMILY_FOLLOW] = &family_follow,
        [FAMILY_QUOTE] = &family_quote,
};

const struct family_methods *
family_by_number(unsigned number)
{
        return number < FAMILY_LIMIT ? families[number] : NULL;
}

const struct family_methods *
family_by_name(const char *name)
{
        for (unsigned i = 0; i < FAMILY_LIMIT; i++)
                if (families[i] != NULL && strcmp(families[i]->name, name) == 0)
                        return families[i];
        return NULL;
}
