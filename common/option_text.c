// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What the help text and the man page have in common.
 */
#include <stdio.h>
#include <string.h>

#include "common/option.h"
#include "common/option_private.h"

const struct option_spec option_common[] = {
	{.name = "help", .kind = OPTION_FLAG, .help = "Print this help and exit."},
	{.name = "version", .kind = OPTION_FLAG, .help = "Print the version and exit."},
	{.name = "print-man", .kind = OPTION_FLAG, .help = "Print the man page's source and exit."},
	{.name = NULL},
};

void option_join_choices(const struct option_spec *spec, char *text, size_t size)
{
	size_t used = 0;
	unsigned int i;

	text[0] = '\0';
	for (i = 0; spec->choices[i] && used < size; i++)
		used += snprintf(text + used, size - used, "%s%s", i ? "|" : "", spec->choices[i]);
}

const char *option_argument(const struct option_spec *spec, char *text, size_t size)
{
	if (spec->argument)
		return spec->argument;
	switch (spec->kind) {
	case OPTION_FLAG:
	case OPTION_HEADING:
		return "";
	case OPTION_CHOICE:
		option_join_choices(spec, text, size);
		return text;
	case OPTION_LIST:
		return "KEY=VALUE,...";
	case OPTION_NUMBER:
		return "N";
	case OPTION_SIZE:
		return "SIZE";
	default:
		return "VALUE";
	}
}

void option_words(const char *text,
		  void (*word)(void *context, const char *word, size_t length, bool blank),
		  void *context)
{
	while (*text) {
		size_t gap = strspn(text, " \t\n"), length;
		unsigned int newlines = 0, i;

		for (i = 0; i < gap; i++)
			newlines += text[i] == '\n';
		text += gap;
		length = strcspn(text, " \t\n");
		if (length)
			word(context, text, length, newlines > 1);
		text += length;
	}
}

const char *option_exit_status(const struct program_spec *program)
{
	return program->exit_status ?: "0\tSuccess.\n1\tFailure.\n2\tThe command line is wrong.";
}
