/* Two ends in one program: frames go from a publisher to a reader of this machine, and from a sender to a receiver by UDP.
 * pair        both
 * pair shm    by shared memory alone
 * pair udp    by UDP alone */
#include <framewire.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 640, HEIGHT = 480, FRAMES = 50 };

static const int64_t SOON = INT64_C(30000000000); /* 30 s */

static void check(int done, const char *what, fw_error *error)
{
    if (done)
        return;
    fprintf(stderr, "%s: %s (%s)\n", what, error ? fw_error_text(error) : "nothing came", error ? fw_error_code(error) : "-");
    exit(1);
}

/* Writes a frame in its slot: no copy. */
static void send_one(fw_output *output, unsigned number)
{
    fw_error *error = NULL;
    fw_slot *slot = NULL;
    check(fw_output_frame(output, SOON, &slot, &error) == FW_OK, "a slot", error);
    memset(fw_slot_data(slot), (int)(number % 256), fw_slot_bytes(slot));
    char note[64];
    int length = snprintf(note, sizeof note, "{\"number\":%u}", number);
    check(fw_slot_set_metadata(slot, FW_METADATA_JSON, (const uint8_t *)note, (size_t)length, &error) == FW_OK, "metadata", error);
    check(fw_slot_send(slot, NULL, &error) == FW_OK, "sending", error);
}

/* Waits for the source's descriptor, as a program does that waits for more than frames. */
static fw_frame *next(fw_source *source)
{
    fw_error *error = NULL;
    struct pollfd waited = {.fd = fw_source_fd(source, &error), .events = POLLIN};
    check(waited.fd >= 0, "a descriptor", error);
    for (;;) {
        fw_frame *frame = NULL;
        fw_result result = fw_source_next(source, 0, &frame, &error);
        if (result == FW_OK)
            return frame;
        check(result == FW_TIMEOUT, "a frame", error);
        check(poll(&waited, 1, 30000) == 1, "waiting", NULL);
    }
}

static void exchange(const char *how, fw_source *source, fw_output *output)
{
    fw_error *error = NULL;
    for (unsigned number = 0; number < FRAMES; number++) {
        send_one(output, number);
        fw_frame *frame = next(source);
        size_t stride, bytes, length;
        const uint8_t *gray = fw_frame_plane(frame, 0, &stride, &bytes);
        const uint8_t *note = fw_frame_metadata(frame, NULL, &length);
        if (fw_frame_number(frame) != number || gray[0] != number % 256 || gray[bytes - 1] != number % 256 || !note) {
            fprintf(stderr, "%s: frame %u is not what was sent\n", how, number);
            exit(1);
        }
        if (number + 1 == FRAMES)
            printf("%s: %d frames of %ux%u %s, the last with %.*s\n", how, FRAMES, fw_frame_width(frame), fw_frame_height(frame),
                   fw_frame_format_name(frame), (int)length, (const char *)note);
        fw_frame_release(frame);
    }
    check(fw_output_close(output, SOON, &error) == FW_OK, "closing", error);
    fw_output_free(output);
    fw_source_free(source);
}

static void by_shared_memory(void)
{
    fw_error *error = NULL;
    fw_output_options options = {.size = sizeof options, .delivery = FW_EVERY};
    fw_output *output = fw_publisher_open("example-c", &options, &error);
    check(output != NULL, "a publisher", error);
    check(fw_output_begin(output, FW_GRAY8, WIDTH, HEIGHT, 0, &error) == FW_OK, "a stream", error);
    fw_source *source = fw_reader_open("example-c", NULL, &error);
    check(source != NULL, "a reader", error);
    exchange("shm", source, output);
}

static void by_udp(void)
{
    fw_error *error = NULL;
    fw_source *source = fw_receiver_open("127.0.0.1:0", NULL, &error);
    check(source != NULL, "a receiver", error);
    fw_output_options options = {.size = sizeof options, .delivery = FW_EVERY};
    fw_output *output = fw_sender_open(fw_source_address(source), &options, &error);
    check(output != NULL, "a sender", error);
    check(fw_output_begin(output, FW_GRAY8, WIDTH, HEIGHT, 0, &error) == FW_OK, "a stream", error);
    exchange("udp", source, output);
}

int main(int count, char **arguments)
{
    const char *way = count > 1 ? arguments[1] : "";
    if (strcmp(way, "udp") != 0)
        by_shared_memory();
    if (strcmp(way, "shm") != 0)
        by_udp();
    return 0;
}
