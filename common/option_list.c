// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Lists behind an option: "path=a.img,bus=virtio". A comma inside a value is written twice, as with
 * QEMU.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/option.h"
#include "common/option_private.h"

/*
 * The values of a list are pieces of a copy that is never freed: the fields of configurations point
 * there. Chained, so that it is plain who holds them.
 */
struct option_text {
	struct option_text *next;
	char bytes[];
};

static struct option_text *option_texts;

static char *option_keep(const char *text)
{
	struct option_text *kept = malloc(sizeof(*kept) + strlen(text) + 1);

	if (!kept)
		return NULL;
	strcpy(kept->bytes, text);
	kept->next = option_texts;
	option_texts = kept;
	return kept->bytes;
}

/* Cuts the next item off *rest, in place, ",," made ",": NULL at the end. */
static char *option_next_item(char **rest)
{
	char *item = *rest, *from = item, *to = item;

	if (!item)
		return NULL;
	while (*from && (*from != ',' || from[1] == ',')) {
		from += *from == ',';
		*to++ = *from++;
	}
	*rest = *from ? from + 1 : NULL;
	*to = '\0';
	return item;
}

static int option_set_named(const struct option_spec *spec, void *config, const char *value,
			    char *reason, size_t size)
{
	char inner[400];

	if (option_set(spec, config, value, inner, sizeof(inner)) == 0)
		return 0;
	snprintf(reason, size, "%s: %s", spec->name, inner);
	return -1;
}

static int option_set_item(const struct option_spec *list, char *item, bool first, void *config,
			   bool *seen, char *reason, size_t size)
{
	char *equals = strchr(item, '=');
	size_t length = equals ? (size_t)(equals - item) : strlen(item);
	const struct option_spec *spec = option_find(list, item, length);
	const char *value = equals ? equals + 1 : NULL;

	/* Only a bare flag is named without '='; all else in first place is the first entry's value. */
	if (!equals && first && !(spec && spec->kind == OPTION_FLAG)) {
		spec = list;
		value = item;
	}
	if (!spec) {
		snprintf(reason, size,
			 "'%.*s' is no key of this list; a comma inside a value is written twice",
			 (int)length, item);
		return -1;
	}
	if (seen[spec - list] && spec->kind != OPTION_LIST) {
		snprintf(reason, size, "%s: given twice", spec->name);
		return -1;
	}
	seen[spec - list] = true;
	return option_set_named(spec, config, value, reason, size);
}

int option_parse_list(const struct option_spec *list, const char *text, void *config, char *reason,
		      size_t size)
{
	bool *seen = calloc(option_count(list) + 1, sizeof(*seen));
	char *rest = option_keep(text), *item;
	const struct option_spec *missing;
	bool first = true;
	int error = -1;

	if (!seen || !rest) {
		snprintf(reason, size, "no memory");
		goto out;
	}
	while ((item = option_next_item(&rest))) {
		if (option_set_item(list, item, first, config, seen, reason, size) < 0)
			goto out;
		first = false;
	}
	missing = option_missing(list, seen);
	if (missing) {
		snprintf(reason, size, "'%s' lacks %s=", text, missing->name);
		goto out;
	}
	error = 0;
out:
	free(seen);
	return error;
}

int option_append(const struct option_spec *spec, void *config, const char *text, char *reason,
		  size_t size)
{
	unsigned int *count = (unsigned int *)((char *)config + spec->count_offset);
	char *entry = (char *)config + spec->offset + *count * spec->list_size;

	if (*count >= spec->list_max) {
		snprintf(reason, size, "'%s' is one too many, expected at most %u of them", text,
			 spec->list_max);
		return -1;
	}
	if (option_parse_list(spec->list, text, entry, reason, size) < 0)
		return -1;
	(*count)++;
	return 0;
}
