// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The man page, as man(7) source. Text is filled to short lines, a sentence a line, as roff likes it:
 * a line that begins with '.' or '\'' would be a request, so no word may begin one unguarded.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/option.h"
#include "common/option_private.h"

#define MAN_WIDTH 78
#define MAN_DATE  "2026-11-21"

struct man_filler {
	int column;
	bool sentence_ended;
};

static void man_character(char c)
{
	switch (c) {
	case '\\':
		fputs("\\e", stdout);
		break;
	case '-':
		fputs("\\-", stdout);
		break;
	case '\'':
		fputs("\\(aq", stdout);
		break;
	case '`':
		fputs("\\(ga", stdout);
		break;
	case '^':
		fputs("\\(ha", stdout);
		break;
	case '~':
		fputs("\\(ti", stdout);
		break;
	default:
		putchar(c);
	}
}

static void man_text(const char *text, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		man_character(text[i]);
}

static void man_string(const char *text)
{
	man_text(text, strlen(text));
}

static void man_word(void *context, const char *word, size_t length, bool blank)
{
	struct man_filler *filler = context;

	if (blank) {
		printf("%s.PP\n", filler->column ? "\n" : "");
		filler->column = 0;
	} else if (filler->column &&
		   (filler->sentence_ended || filler->column + 1 + (int)length > MAN_WIDTH)) {
		putchar('\n');
		filler->column = 0;
	}
	if (filler->column)
		filler->column += printf(" ");
	else if (word[0] == '.')
		fputs("\\&", stdout);
	man_text(word, length);
	filler->column += length;
	filler->sentence_ended = strchr(".?!", word[length - 1]) != NULL;
}

static void man_paragraphs(const char *text)
{
	struct man_filler filler = {0};

	option_words(text, man_word, &filler);
	if (filler.column)
		putchar('\n');
}

/* Examples and other lines that stay as they are. */
static void man_lines(const char *text)
{
	while (*text) {
		size_t length = strcspn(text, "\n");

		if (text[0] == '.')
			fputs("\\&", stdout);
		man_text(text, length);
		putchar('\n');
		text += length + (text[length] == '\n');
	}
}

static void man_upper(const char *text)
{
	for (; *text; text++)
		man_character(toupper((unsigned char)*text));
}

static void man_option(const struct option_spec *spec, const char *dashes)
{
	char argument[256], text[1024];
	const char *value = option_argument(spec, argument, sizeof(argument));
	const char *meaning = option_text(spec, text, sizeof(text));

	fputs(".TP\n\\fB", stdout);
	man_string(dashes);
	man_string(spec->name);
	fputs("\\fR", stdout);
	if (*value) {
		fputs("=\\fI", stdout);
		man_string(value);
		fputs("\\fR", stdout);
	} else if (!*dashes) {
		man_string(OPTION_LISTED_FLAG);
	}
	putchar('\n');
	man_paragraphs(*meaning ? meaning : "No further description.");
}

static void man_table(const struct option_spec *spec, const char *dashes)
{
	for (; spec->name; spec++) {
		if (spec->kind == OPTION_HEADING) {
			fputs(".SS ", stdout);
			man_string(spec->help);
			putchar('\n');
			continue;
		}
		man_option(spec, dashes);
		if (spec->kind == OPTION_LIST) {
			puts(".RS");
			man_table(spec->list, "");
			puts(".RE");
		}
	}
}

/* Lines "N<tab>meaning". */
static void man_exit_status(const char *text)
{
	puts(".SH EXIT STATUS");
	while (*text) {
		size_t length = strcspn(text, "\n"), number = strcspn(text, "\t\n");

		fputs(".TP\n", stdout);
		man_text(text, number);
		putchar('\n');
		if (number < length) {
			man_text(text + number + 1, length - number - 1);
			putchar('\n');
		}
		text += length + (text[length] == '\n');
	}
}

static void man_synopsis(const struct program_spec *program)
{
	const char *usage = program->usage ? program->usage : "[OPTION]...";

	while (*usage) {
		size_t length = strcspn(usage, "\n");

		fputs("\\fB", stdout);
		man_string(program->name);
		fputs("\\fR ", stdout);
		man_text(usage, length);
		putchar('\n');
		usage += length + (usage[length] == '\n');
		if (*usage)
			puts(".br");
	}
}

/* All other programs of the kit. */
static void man_see_also(const struct program_spec *program)
{
	static const char *const names[] = {"pvkit-shim", "pvkit-blkd", "pvkit-netd", "pvkit-load",
					    "pvkit-top"};
	const char *before = "";

	puts(".SH SEE ALSO");
	for (unsigned int i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (!strcmp(names[i], program->name))
			continue;
		printf("%s\\fB", before);
		man_string(names[i]);
		fputs("\\fR(1)", stdout);
		before = ",\n";
	}
	putchar('\n');
}

void option_print_man(const struct program_spec *program)
{
	fputs(".TH ", stdout);
	man_upper(program->name);
	printf(" 1 %s \"pvkit %s\" \"pvkit manual\"\n.SH NAME\n", MAN_DATE, PVKIT_VERSION);
	man_string(program->name);
	fputs(" \\- ", stdout);
	man_string(program->summary);
	puts("\n.SH SYNOPSIS");
	man_synopsis(program);
	puts(".SH DESCRIPTION");
	man_paragraphs(program->description ? program->description : program->summary);
	puts(".SH OPTIONS");
	man_table(program->options, "--");
	if (program->options[0].name)
		puts(".SS Help");
	man_table(option_common, "--");
	man_exit_status(option_exit_status(program));
	if (program->examples) {
		puts(".SH EXAMPLES\n.nf");
		man_lines(program->examples);
		puts(".fi");
	}
	man_see_also(program);
}
