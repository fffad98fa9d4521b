// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The help text: names on the left, their meaning filled on the right, 80 columns.
 */
#include <stdio.h>
#include <string.h>

#include "common/option.h"
#include "common/option_private.h"

#define HELP_WIDTH  79
#define HELP_COLUMN 26
#define HELP_STATUS_COLUMN 8

struct help_filler {
	int indent;
	int column;
};

static void help_new_line(struct help_filler *filler)
{
	printf("\n%*s", filler->indent, "");
	filler->column = filler->indent;
}

static void help_word(void *context, const char *word, size_t length, bool blank)
{
	struct help_filler *filler = context;

	if (blank)
		putchar('\n');
	if (blank ||
	    (filler->column > filler->indent && filler->column + 1 + (int)length > HELP_WIDTH))
		help_new_line(filler);
	if (filler->column > filler->indent)
		filler->column += printf(" ");
	filler->column += printf("%.*s", (int)length, word);
}

static void help_fill(const char *text, int indent, int column)
{
	struct help_filler filler = {.indent = indent, .column = column};

	if (column > indent)
		help_new_line(&filler);
	else
		printf("%*s", indent - column, "");
	filler.column = indent;
	option_words(text, help_word, &filler);
	putchar('\n');
}

static void help_option(const struct option_spec *spec, const char *dashes, int indent)
{
	char argument[256], text[1024];
	const char *value = option_argument(spec, argument, sizeof(argument));
	const char *equals = *value ? "=" : *dashes ? "" : OPTION_LISTED_FLAG;
	int column = printf("%*s%s%s%s%s", indent, "", dashes, spec->name, equals, value);

	/* Two blanks at least between the columns. */
	help_fill(option_text(spec, text, sizeof(text)), HELP_COLUMN + indent - 2,
		  column + 2 > HELP_COLUMN + indent - 2 ? HELP_COLUMN + indent - 1 : column);
}

static void help_list(const struct option_spec *spec)
{
	const struct option_spec *item;

	for (item = spec->list; item->name; item++) {
		if (item->kind == OPTION_HEADING)
			continue;
		help_option(item, "", 6);
	}
}

static void help_table(const struct option_spec *spec)
{
	for (; spec->name; spec++) {
		if (spec->kind == OPTION_HEADING) {
			printf("\n%s:\n", spec->help);
			continue;
		}
		help_option(spec, "--", 2);
		if (spec->kind == OPTION_LIST)
			help_list(spec);
	}
}

/* Lines "N<tab>meaning". */
static void help_exit_status(const char *text)
{
	char line[512];
	int number, length;

	printf("\nExit status:\n");
	while (*text) {
		length = (int)strcspn(text, "\n");
		snprintf(line, sizeof(line), "%.*s", length, text);
		number = (int)strcspn(line, "\t");
		help_fill(line + number, HELP_STATUS_COLUMN, printf("  %.*s", number, line));
		text += length + !!text[length];
	}
}

static void help_usage(const struct program_spec *program)
{
	const char *usage = program->usage ? program->usage : "[OPTION]...";
	const char *title = "Usage:";

	while (*usage) {
		size_t length = strcspn(usage, "\n");

		printf("%-6s %s %.*s\n", title, program->name, (int)length, usage);
		usage += length + (usage[length] == '\n');
		title = "";
	}
}

void option_print_help(const struct program_spec *program)
{
	help_usage(program);
	help_fill(program->summary, 0, 0);
	if (program->options[0].name && program->options[0].kind != OPTION_HEADING)
		printf("\nOptions:\n");
	help_table(program->options);
	printf("\nHelp:\n");
	help_table(option_common);
	help_exit_status(option_exit_status(program));
	if (program->examples)
		printf("\nExamples:\n%s\n", program->examples);
}
