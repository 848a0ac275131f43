/* Frames for a protected server, which is joined by the file that it wrote: join FILE FRAMES */
#include <framewire.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 64, HEIGHT = 48 };

static const int64_t SOON = INT64_C(60000000000); /* 60 s */

static void check(int done, const char *what, fw_error *error)
{
    if (done)
        return;
    fprintf(stderr, "%s: %s (%s)\n", what, error ? fw_error_text(error) : "not so", error ? fw_error_code(error) : "-");
    exit(1);
}

/* The line of a file, which is a secret. */
static void read_line(const char *path, char *line, size_t bytes)
{
    FILE *file = fopen(path, "r");
    check(file != NULL && fgets(line, (int)bytes, file) != NULL, path, NULL);
    fclose(file);
    line[strcspn(line, "\n")] = '\0';
}

/* A line whose token is not the server's opens nothing. */
static void is_refused(const char *path)
{
    fw_error *error = NULL;
    char line[512];
    read_line(path, line, sizeof line);
    char *token = strchr(line, '#');
    check(token != NULL, "a line to join by", NULL);
    token[1] = token[1] == 'A' ? 'B' : 'A';
    fw_output *output = fw_sender_join(line, "refused", NULL, &error);
    check(output != NULL, "a line that is whole", error);
    int refused = fw_output_begin(output, FW_GRAY8, WIDTH, HEIGHT, 0, &error) != FW_OK ||
                  fw_output_wait_open(output, SOON, &error) != FW_OK;
    check(refused && error != NULL && fw_error_class(error) == FW_CLASS_REFUSED, "a wrong token is refused", error);
    check(strstr(fw_error_text(error), token + 1) == NULL, "and not told on", NULL);
    fw_error_free(error);
    fw_output_free(output);
}

int main(int count, char **arguments)
{
    check(count == 3, "join FILE FRAMES", NULL);
    fw_error *error = NULL;
    fw_output_options options = {.size = sizeof options, .delivery = FW_EVERY};
    fw_output *output = fw_sender_join(arguments[1], "from-c", &options, &error);
    check(output != NULL, "joining", error);
    check(fw_output_begin(output, FW_GRAY8, WIDTH, HEIGHT, 0, &error) == FW_OK, "a stream", error);
    check(fw_output_wait_open(output, SOON, &error) == FW_OK, "opening", error);
    check(fw_output_protection(output) != NULL, "a stream that is encrypted", NULL);
    int frames = atoi(arguments[2]);
    for (int number = 0; number < frames; number++) {
        fw_slot *slot = NULL;
        check(fw_output_frame(output, SOON, &slot, &error) == FW_OK, "a slot", error);
        memset(fw_slot_data(slot), number % 256, fw_slot_bytes(slot));
        check(fw_slot_send(slot, NULL, &error) == FW_OK, "sending", error);
    }
    check(fw_output_close(output, SOON, &error) == FW_OK, "closing", error);
    fw_output_free(output);
    is_refused(arguments[1]);
    printf("joined: %d frames\n", frames);
    return 0;
}
