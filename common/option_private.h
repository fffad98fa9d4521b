/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What the files of the options share, and no other file needs.
 */
#ifndef PVKIT_COMMON_OPTION_PRIVATE_H
#define PVKIT_COMMON_OPTION_PRIVATE_H

#include "common/option.h"

/* Gives @text (NULL: none) to the field of @spec in @config. 0, or -1 with a line in @reason. */
int option_set(const struct option_spec *spec, void *config, const char *text, char *reason,
	       size_t size);
/* The same for a LIST: one more struct of its array. */
int option_append(const struct option_spec *spec, void *config, const char *text, char *reason,
		  size_t size);
/* Writes "'VALUE' WHY"; always -1. */
int option_refuse(char *reason, size_t size, const char *value, const char *why);

const struct option_spec *option_find(const struct option_spec *table, const char *name,
				      size_t length);
unsigned int option_count(const struct option_spec *table);
/* The first entry that is required and was not seen, or NULL. */
const struct option_spec *option_missing(const struct option_spec *table, const bool *seen);

/* Its own, or what all have. */
const char *option_exit_status(const struct program_spec *program);

/* "a|b|c" */
void option_join_choices(const struct option_spec *spec, char *text, size_t size);
/* What help and man page say of it: its own text, and between what limits a number must be. */
const char *option_text(const struct option_spec *spec, char *text, size_t size);
/* How help and man page name the value; "" for a flag. */
const char *option_argument(const struct option_spec *spec, char *text, size_t size);

/* A flag stands alone on a command line; in a list it can be switched off. */
#define OPTION_LISTED_FLAG "[=on|off]"

/* What option_parse() answers by itself, as a table for the help and the man page. */
extern const struct option_spec option_common[];

/*
 * Calls @word for the text word by word: @blank says that a blank line stood before it. For the
 * filling of lines, which help and man page do each in its own way.
 */
void option_words(const char *text,
		  void (*word)(void *context, const char *word, size_t length, bool blank),
		  void *context);

#endif
