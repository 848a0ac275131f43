/*
 * Framewire: raw video frames between programs, in the memory that they arrived in.
 *
 * A source (fw_source) gives frames, whether they come over the network (fw_receiver_open) or out of
 * another process's memory (fw_reader_open). An output (fw_output) takes them: to a receiver
 * (fw_sender_open), or for other processes of this machine (fw_publisher_open).
 *
 * Ownership. Whatever a call hands out as a pointer to a handle is the caller's, who gives it back with the
 * call that its comment names. const handles and texts are borrowed, and live as long as what they were
 * asked of. A frame holds a slot of its stream until it and its clones are released; it may outlive its
 * source.
 *
 * Errors. Calls that can fail take a place for an error, fw_error **err. It may be NULL. Else it is written
 * by every call: NULL, or an error that the caller frees with fw_error_free. No call is given a pointer to
 * an error that was not freed: it would leak.
 *
 * NULL handles are no crash: calls that can fail fail (class FW_CLASS_ARGUMENT), others say 0, false or
 * NULL. Places for results may be NULL where the comment does not say otherwise; what would be handed out
 * there is then given back. Releasing NULL does nothing.
 *
 * Structs that begin with `size` grow with the library: set it to sizeof the struct. In those with options,
 * 0 means the default in every field, so `fw_receiver_options options = {.size = sizeof options};` asks for
 * nothing in particular.
 *
 * Times are nanoseconds, clocks CLOCK_MONOTONIC unless a name has utc in it. A timeout below 0 waits
 * without end; 0 looks and does not wait.
 *
 * Threads. Sources and outputs can be used by several threads at once, each frame and slot by one at a
 * time. Whoever frees a handle is the last to use it. After a fork, handles belong to the parent: in the
 * child every call with one fails with FW_CLASS_FORKED, and freeing them is allowed.
 *
 * No panic and no exception comes out of a call. Only names that begin with fw_ are exported.
 *
 * This file is made from the library's source.
 */

#ifndef FRAMEWIRE_H
#define FRAMEWIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Bytes of a key.
 */
#define FW_KEY_BYTES 32

/**
 * As `metadata_max`: frames have no metadata.
 */
#define FW_NO_METADATA 4294967295

/**
 * The version of this header: its first number, which rises when programs have to be changed.
 */
#define FW_VERSION_MAJOR 0

/**
 * The version of this header: its second number.
 */
#define FW_VERSION_MINOR 1

/**
 * The version of this header: its third number.
 */
#define FW_VERSION_PATCH 0

/**
 * What became of a call.
 */
typedef enum {
    /**
     * It was done.
     */
    FW_OK = 0,
    /**
     * Nothing came, or nobody answered, in the time given. An error is made only where there is more to say
     * than that.
     */
    FW_TIMEOUT = 1,
    /**
     * The stream has ended: there are no more frames.
     */
    FW_ENDED = 2,
    /**
     * This program holds every slot that it may: release frames, or ask for more slots.
     */
    FW_SLOTS_HELD = 3,
    /**
     * The process that shares the stream is gone; reading goes on when it is back. Only with `no_reconnect`.
     */
    FW_INTERRUPTED = 4,
    /**
     * It failed; the error's class and text say why.
     */
    FW_ERROR = -1,
    /**
     * It failed by a fault of this library. What the call was made with is no longer to be relied on.
     */
    FW_ERROR_PANIC = -2,
} fw_result;

/**
 * What a program does about an error.
 */
typedef enum {
    /**
     * There is no error: it is NULL.
     */
    FW_CLASS_NONE = 0,
    /**
     * A value that cannot be: an address, a number, a name, NULL. The program is to be changed.
     */
    FW_CLASS_ARGUMENT = 1,
    /**
     * Bytes or a format that are not what the stream carries.
     */
    FW_CLASS_FORMAT = 2,
    /**
     * Nothing came, or nobody answered, in the time given.
     */
    FW_CLASS_TIMEOUT = 3,
    /**
     * The stream has ended.
     */
    FW_CLASS_ENDED = 4,
    /**
     * This program has closed it.
     */
    FW_CLASS_CLOSED = 5,
    /**
     * This program holds every slot that it may.
     */
    FW_CLASS_SLOTS_HELD = 6,
    /**
     * No stream has this name, or several have; the text says which there are.
     */
    FW_CLASS_UNKNOWN_STREAM = 7,
    /**
     * The process that shares the stream is gone.
     */
    FW_CLASS_INTERRUPTED = 8,
    /**
     * The other end refuses, or cannot be reached.
     */
    FW_CLASS_REFUSED = 9,
    /**
     * The system has no more of something, or lacks it: memory, descriptors, threads.
     */
    FW_CLASS_SYSTEM = 10,
    /**
     * This process was forked from the one that made the handle: make one here.
     */
    FW_CLASS_FORKED = 11,
    /**
     * A fault of this library.
     */
    FW_CLASS_PANIC = 12,
} fw_class;

/**
 * How pixels are laid out in memory, by the format's code. Samples of more than 8 bits are little-endian;
 * those of 10 and 12 in 16 are in the low bits, those of p010 in the high ones. Planar formats store all of Y,
 * then all of U, then all of V. A later library may have more of them.
 */
typedef enum {
    /**
     * One byte a pixel, luma only.
     */
    FW_GRAY8 = 264,
    /**
     * Luma, 10 bits in 16.
     */
    FW_GRAY10 = 266,
    /**
     * Luma, 12 bits in 16.
     */
    FW_GRAY12 = 268,
    /**
     * Luma, 16 bits.
     */
    FW_GRAY16 = 272,
    /**
     * Three bytes a pixel: red, green, blue.
     */
    FW_RGB24 = 513,
    /**
     * Three bytes a pixel: blue, green, red. What OpenCV calls CV_8UC3.
     */
    FW_BGR24 = 514,
    /**
     * Four bytes a pixel: red, green, blue, alpha.
     */
    FW_RGBA32 = 515,
    /**
     * Four bytes a pixel: blue, green, red, alpha.
     */
    FW_BGRA32 = 516,
    /**
     * Planar 4:2:0: chroma has half the width and half the height, rounded up.
     */
    FW_YUV420P = 776,
    /**
     * Planar 4:2:2: chroma has half the width, rounded up.
     */
    FW_YUV422P = 1032,
    /**
     * Planar 4:4:4: chroma has the full size.
     */
    FW_YUV444P = 1288,
    /**
     * Planar 4:2:0, 10 bits in 16.
     */
    FW_YUV420P10 = 778,
    /**
     * Planar 4:2:2, 10 bits in 16.
     */
    FW_YUV422P10 = 1034,
    /**
     * Planar 4:4:4, 10 bits in 16.
     */
    FW_YUV444P10 = 1290,
    /**
     * Planar 4:2:0, 12 bits in 16.
     */
    FW_YUV420P12 = 780,
    /**
     * Planar 4:2:2, 12 bits in 16.
     */
    FW_YUV422P12 = 1036,
    /**
     * Planar 4:4:4, 12 bits in 16.
     */
    FW_YUV444P12 = 1292,
    /**
     * Planar 4:2:0, 16 bits.
     */
    FW_YUV420P16 = 784,
    /**
     * Planar 4:2:2, 16 bits.
     */
    FW_YUV422P16 = 1040,
    /**
     * Planar 4:4:4, 16 bits.
     */
    FW_YUV444P16 = 1296,
    /**
     * 4:2:0 in two planes: luma, and behind it Cb and Cr in turn, half the width and half the height, rounded
     * up.
     */
    FW_NV12 = 1544,
    /**
     * As nv12, 10 bits in the high ones of 16.
     */
    FW_P010 = 1546,
    /**
     * 4:2:2 in one plane: Y, Cb, Y, Cr. Its width is even.
     */
    FW_YUYV = 1793,
    /**
     * 4:2:2 in one plane: Cb, Y, Cr, Y. Its width is even.
     */
    FW_UYVY = 1794,
    /**
     * 4:2:2 of 10 bits, six pixels in 16 bytes, rows of whole 128 bytes. Its width is even.
     */
    FW_V210 = 1802,
    /**
     * A Bayer mosaic that begins with the rows RG and GB, one byte a pixel.
     */
    FW_BAYER_RGGB8 = 4104,
    /**
     * A Bayer mosaic that begins with the rows GR and BG, one byte a pixel.
     */
    FW_BAYER_GRBG8 = 4360,
    /**
     * A Bayer mosaic that begins with the rows GB and RG, one byte a pixel.
     */
    FW_BAYER_GBRG8 = 4616,
    /**
     * A Bayer mosaic that begins with the rows BG and GR, one byte a pixel.
     */
    FW_BAYER_BGGR8 = 4872,
    /**
     * A Bayer mosaic that begins with the rows RG and GB, 10 bits in 16.
     */
    FW_BAYER_RGGB10 = 4106,
    /**
     * A Bayer mosaic that begins with the rows GR and BG, 10 bits in 16.
     */
    FW_BAYER_GRBG10 = 4362,
    /**
     * A Bayer mosaic that begins with the rows GB and RG, 10 bits in 16.
     */
    FW_BAYER_GBRG10 = 4618,
    /**
     * A Bayer mosaic that begins with the rows BG and GR, 10 bits in 16.
     */
    FW_BAYER_BGGR10 = 4874,
    /**
     * A Bayer mosaic that begins with the rows RG and GB, 12 bits in 16.
     */
    FW_BAYER_RGGB12 = 4108,
    /**
     * A Bayer mosaic that begins with the rows GR and BG, 12 bits in 16.
     */
    FW_BAYER_GRBG12 = 4364,
    /**
     * A Bayer mosaic that begins with the rows GB and RG, 12 bits in 16.
     */
    FW_BAYER_GBRG12 = 4620,
    /**
     * A Bayer mosaic that begins with the rows BG and GR, 12 bits in 16.
     */
    FW_BAYER_BGGR12 = 4876,
    /**
     * A Bayer mosaic that begins with the rows RG and GB, 16 bits.
     */
    FW_BAYER_RGGB16 = 4112,
    /**
     * A Bayer mosaic that begins with the rows GR and BG, 16 bits.
     */
    FW_BAYER_GRBG16 = 4368,
    /**
     * A Bayer mosaic that begins with the rows GB and RG, 16 bits.
     */
    FW_BAYER_GBRG16 = 4624,
    /**
     * A Bayer mosaic that begins with the rows BG and GR, 16 bits.
     */
    FW_BAYER_BGGR16 = 4880,
    /**
     * Distances, 16 bits; millimetres with most cameras.
     */
    FW_DEPTH16 = 2320,
    /**
     * Distances as IEEE floats of 32 bits; metres with most cameras.
     */
    FW_DEPTH32F = 2336,
    /**
     * Luma of 10 bits packed without a gap, as PFNC has it (not as MIPI or GigE Vision); carried as it is.
     */
    FW_MONO10P = 8202,
    /**
     * Luma of 12 bits packed without a gap, as PFNC has it (not as MIPI or GigE Vision); carried as it is.
     */
    FW_MONO12P = 8204,
    /**
     * A Bayer mosaic (RGGB) of 10 bits packed without a gap, as PFNC has it; carried as it is.
     */
    FW_BAYER_RGGB10P = 8458,
    /**
     * A Bayer mosaic (GRBG) of 10 bits packed without a gap, as PFNC has it; carried as it is.
     */
    FW_BAYER_GRBG10P = 8714,
    /**
     * A Bayer mosaic (GBRG) of 10 bits packed without a gap, as PFNC has it; carried as it is.
     */
    FW_BAYER_GBRG10P = 8970,
    /**
     * A Bayer mosaic (BGGR) of 10 bits packed without a gap, as PFNC has it; carried as it is.
     */
    FW_BAYER_BGGR10P = 9226,
    /**
     * A Bayer mosaic (RGGB) of 12 bits packed without a gap, as PFNC has it; carried as it is.
     */
    FW_BAYER_RGGB12P = 8460,
    /**
     * A Bayer mosaic (GRBG) of 12 bits packed without a gap, as PFNC has it; carried as it is.
     */
    FW_BAYER_GRBG12P = 8716,
    /**
     * A Bayer mosaic (GBRG) of 12 bits packed without a gap, as PFNC has it; carried as it is.
     */
    FW_BAYER_GBRG12P = 8972,
    /**
     * A Bayer mosaic (BGGR) of 12 bits packed without a gap, as PFNC has it; carried as it is.
     */
    FW_BAYER_BGGR12P = 9228,
    /**
     * Any bytes: a point cloud, a tensor, an encoded picture. A frame has 1 of them to as many as the format
     * says, and frames of a stream differ.
     */
    FW_BYTES = 65280,
} fw_pixel_format;

/**
 * Whether a stream loses nothing.
 */
typedef enum {
    /**
     * The newest frame wins; what cannot leave in time gives way to the next. The default.
     */
    FW_LATEST = 0,
    /**
     * Nothing is lost: whoever sends waits.
     */
    FW_EVERY = 1,
} fw_delivery;

/**
 * Whether frames are encrypted, and both ends prove that they have the key.
 */
typedef enum {
    /**
     * With a key, also on loopback. Without one frames are plain, and do not leave this machine: off loopback
     * that is an error. The default.
     */
    FW_PROTECTION_AUTO = 0,
    /**
     * Always: without a key it is an error.
     */
    FW_PROTECTION_ON = 1,
    /**
     * Never: whoever is on the way can read the frames, and send others in their place. For networks that you
     * trust; with a key it is an error.
     */
    FW_PROTECTION_OFF = 2,
} fw_protection;

/**
 * What the bytes of metadata are, as their source said.
 */
typedef enum {
    /**
     * Any bytes.
     */
    FW_METADATA_BYTES = 0,
    /**
     * A JSON text, UTF-8, without a zero at its end.
     */
    FW_METADATA_JSON = 1,
    /**
     * CBOR, RFC 8949.
     */
    FW_METADATA_CBOR = 2,
} fw_metadata_kind;

/**
 * What the items of an array are: little-endian words.
 */
typedef enum {
    /**
     * Unsigned, one byte.
     */
    FW_U8 = 1,
    /**
     * Unsigned, two bytes.
     */
    FW_U16 = 2,
    /**
     * A float of four bytes.
     */
    FW_F32 = 4,
} fw_item;

/**
 * What went wrong. Freed with fw_error_free.
 */
typedef struct fw_error fw_error;

/**
 * One picture, in the memory that it arrived in, read-only. It holds a slot of its stream until it and its
 * clones are released with fw_frame_release, whatever becomes of its source meanwhile.
 */
typedef struct fw_frame fw_frame;

/**
 * The secret of a stream: whoever has it can send the stream and take it, and nobody else can. Freed with
 * fw_key_free.
 */
typedef struct fw_key fw_key;

/**
 * Where frames go. Freed with fw_output_free.
 */
typedef struct fw_output fw_output;

/**
 * A slot to write the next frame into. It is given back with fw_slot_send or fw_slot_discard, and what its
 * pointers point to with it. It may outlive its output.
 */
typedef struct fw_slot fw_slot;

/**
 * Where frames come from. Freed with fw_source_free.
 */
typedef struct fw_source fw_source;

/**
 * What a stream is. Borrowed: from a list of streams, or from a frame.
 */
typedef struct fw_stream fw_stream;

/**
 * Streams as they were when they were asked for. Freed with fw_streams_free.
 */
typedef struct fw_streams fw_streams;

/**
 * What is to be known of a format.
 */
typedef struct {
    /**
     * sizeof (fw_format), set by the caller.
     */
    size_t size;
    /**
     * Its code: an fw_pixel_format.
     */
    uint32_t code;
    /**
     * Planes of a frame, 1 to 3.
     */
    uint32_t planes;
    /**
     * Significant bits of a sample.
     */
    uint32_t bits;
    /**
     * Bytes of a sample, 1, 2 or 4; 0 where samples do not lie in whole words.
     */
    uint32_t sample_bytes;
    /**
     * Its code in the GenICam Pixel Format Naming Convention; 0 where it has none.
     */
    uint32_t pfnc;
    /**
     * Not used: 0.
     */
    uint32_t reserved;
    /**
     * Its name, such as "bgr24". A static text, as are the others.
     */
    const char *name;
    /**
     * Its four characters in Video4Linux; NULL where it has none.
     */
    const char *v4l2;
    /**
     * Its name in GStreamer; NULL where it has none.
     */
    const char *gstreamer;
    /**
     * Its name in ffmpeg; NULL where it has none.
     */
    const char *ffmpeg;
    /**
     * The encoding of a ROS image with the same bytes; NULL where there is none.
     */
    const char *ros;
} fw_format;

/**
 * Where the items of an array lie in a frame's bytes.
 *
 * - one sample a pixel: height, width
 * - several: height, width, samples, in the order of the format's name; two bytes a pixel for yuyv and uyvy
 * - packed formats (mono10p, v210): height, bytes of a row
 * - planar and semi-planar YUV as OpenCV has it: (height * 3 / 2), width for 4:2:0; (height * 2), width for 4:2:2; 3, height, width for 4:4:4
 * - bytes: as many as the frame has
 */
typedef struct {
    /**
     * sizeof (fw_array), set by the caller.
     */
    size_t size;
    /**
     * Bytes from the frame's first to the array's.
     */
    size_t offset;
    /**
     * What the items are: an fw_item, which is also how many bytes one has.
     */
    uint32_t item;
    /**
     * How many dimensions there are, 1 to 3.
     */
    uint32_t dimensions;
    /**
     * Items in each dimension, rows before columns; 1 in those that there are not.
     */
    size_t shape[3];
    /**
     * Bytes from one item to the next in each dimension; 0 in those that there are not.
     */
    size_t strides[3];
} fw_array;

/**
 * Bytes of a frame, from `start` on, before `stop`.
 */
typedef struct {
    /**
     * The first.
     */
    size_t start;
    /**
     * The one behind the last.
     */
    size_t stop;
} fw_range;

/**
 * What the frames of an output are like; 0 is the default in every field.
 */
typedef struct {
    /**
     * sizeof (fw_output_options).
     */
    size_t size;
    /**
     * Of a publisher alone: where its hub is, a name or the path of a socket. NULL: at a hub of the stream's
     * name.
     */
    const char *hub;
    /**
     * An fw_delivery. 0: FW_LATEST.
     */
    uint32_t delivery;
    /**
     * Slots for frames that are written and on their way. 0: as the transport says.
     */
    uint32_t slots;
    /**
     * Bytes of metadata that a frame may have, at most 4,096. 0: 4,096. FW_NO_METADATA: none.
     */
    uint32_t metadata_max;
    /**
     * Frames a second are rate_numerator / rate_denominator, for whoever shows or records them. 0: not known.
     */
    uint32_t rate_numerator;
    /**
     * See rate_numerator. 0: 1.
     */
    uint32_t rate_denominator;
    /**
     * Of a sender alone: an fw_protection. 0: FW_PROTECTION_AUTO.
     */
    uint32_t protection;
    /**
     * Of a sender alone: the key that the receiver has, too. With it frames are encrypted, and both ends prove
     * that they have it. It may be freed once the sender is open. NULL: none.
     */
    const fw_key *key;
} fw_output_options;

/**
 * What belongs to one frame that is sent; 0 is the default in every field.
 */
typedef struct {
    /**
     * sizeof (fw_send_options).
     */
    size_t size;
    /**
     * Bytes to go with the frame; NULL: none.
     */
    const uint8_t *metadata;
    /**
     * How many of them.
     */
    size_t metadata_bytes;
    /**
     * What they are: an fw_metadata_kind.
     */
    uint32_t metadata_kind;
    /**
     * Not used: 0.
     */
    uint32_t reserved;
    /**
     * When the picture was taken, on CLOCK_MONOTONIC. 0: now.
     */
    uint64_t captured_ns;
    /**
     * When it was taken as UTC, nanoseconds since 1970, where the picture has a time of its own, such as that
     * of its place in a file. 0: by the clock of this machine.
     */
    uint64_t captured_utc_ns;
} fw_send_options;

/**
 * What became of the frames of an output.
 */
typedef struct {
    /**
     * sizeof (fw_output_counts), set by the caller.
     */
    size_t size;
    /**
     * Frames that were handed over.
     */
    uint64_t sent;
    /**
     * Frames that the receiver says it has whole; of those that are published, all.
     */
    uint64_t delivered;
    /**
     * Frames that gave way to newer ones, or that there was no slot for.
     */
    uint64_t skipped;
    /**
     * Bytes handed over, as the transport counts them.
     */
    uint64_t bytes;
    /**
     * Readers in other processes, of published frames.
     */
    uint64_t readers;
    /**
     * 1 once the receiver has opened the stream, or a published one has begun; else 0.
     */
    uint32_t is_open;
    /**
     * Not used: 0.
     */
    uint32_t reserved;
} fw_output_counts;

/**
 * What a source over the network is to be like; 0 is the default in every field.
 */
typedef struct {
    /**
     * sizeof (fw_receiver_options).
     */
    size_t size;
    /**
     * Slots of each stream, 1 to 64: four frames being assembled, the others with the program. 0: 8.
     */
    uint32_t slots;
    /**
     * Frames of a `latest` stream that wait for the program at most. 0: the newest alone.
     */
    uint32_t queue;
    /**
     * Not 0: the source ends when its last stream does. 0: the next stream is waited for.
     */
    uint32_t no_reconnect;
    /**
     * Not 0: frames of `latest` streams are handed out too that did not become whole in time
     * (fw_frame_missing).
     */
    uint32_t partial;
    /**
     * An fw_protection. 0: FW_PROTECTION_AUTO.
     */
    uint32_t protection;
    /**
     * How many keys there are.
     */
    uint32_t keys_count;
    /**
     * Bytes that all streams together may take. 0: as the transport says.
     */
    uint64_t memory_bytes_max;
    /**
     * The keys that senders have, too: with any, frames are encrypted, and no sender without one of them is
     * heard. They may be freed once the receiver is open. NULL: none.
     */
    const fw_key *const *keys;
} fw_receiver_options;

/**
 * How a stream of a server is watched; 0 is the default in every field, but for one of `server` and `join`.
 */
typedef struct {
    /**
     * sizeof (fw_watch_options).
     */
    size_t size;
    /**
     * The address of a server that nothing protects, http://HOST:PORT, or whose certificate this machine
     * trusts, https://HOST:PORT. NULL: `join`.
     */
    const char *server;
    /**
     * A protected server: the line that it prints at its start, or the path of the file that it wrote
     * (--join-file). NULL: `server`.
     */
    const char *join;
    /**
     * An fw_delivery. FW_LATEST (0): what does not come in time gives way to the next. FW_EVERY: nothing is
     * lost for as long as the program keeps up; the server does not wait for it where it does not.
     */
    uint32_t delivery;
    /**
     * Slots, 1 to 64: four frames being assembled, the others with the program. 0: 8.
     */
    uint32_t slots;
    /**
     * Frames of a `latest` stream that wait for the program at most. 0: the newest alone.
     */
    uint32_t queue;
    /**
     * Not 0: the source ends when the stream does. 0: it is waited for until it is back.
     */
    uint32_t no_reconnect;
    /**
     * Not 0: frames are handed out too that did not become whole in time (fw_frame_missing).
     */
    uint32_t partial;
    /**
     * An fw_protection. FW_PROTECTION_OFF takes plain text from another machine. 0: FW_PROTECTION_AUTO.
     */
    uint32_t protection;
    /**
     * Frames a second that are wanted at most; those between are left out. 0: all.
     */
    double fps_max;
    /**
     * Bytes that the stream may take. 0: as the transport says.
     */
    uint64_t memory_bytes_max;
    /**
     * Where frames come in: HOST:PORT, or :PORT for all addresses of this machine, as a firewall lets them in.
     * NULL: a port of the system's choice, on loopback where the server is there.
     */
    const char *udp;
} fw_watch_options;

/**
 * How a stream of another process is read; 0 is the default in every field.
 */
typedef struct {
    /**
     * sizeof (fw_reader_options).
     */
    size_t size;
    /**
     * Whose stream it is: the port of a server, the name of a publisher, or the path of a socket. NULL: it is
     * looked for at every hub of this machine.
     */
    const char *hub;
    /**
     * What the hub's operator sees of this program. NULL: the name of its file.
     */
    const char *name;
    /**
     * Frames that the program may hold at once, 1 to 62, beside those that wait for it. 0: 2.
     */
    uint32_t slots;
    /**
     * Frames that wait for the program at most, 1 to 8. 0: the newest alone.
     */
    uint32_t queue;
    /**
     * Not 0: a hub that is gone is told (FW_INTERRUPTED), and a source that is gone is the end. 0: they are
     * waited for.
     */
    uint32_t no_reconnect;
    /**
     * Not used: 0.
     */
    uint32_t reserved;
    /**
     * How long the stream is waited for where it is not there. 0: not at all. Below 0: without end.
     */
    int64_t wait_ns;
    /**
     * For how long a frame is looked for before the thread sleeps. 0: not at all.
     */
    uint64_t busy_poll_ns;
} fw_reader_options;

/**
 * What became of the frames of a source, over all its streams.
 */
typedef struct {
    /**
     * sizeof (fw_source_counts), set by the caller.
     */
    size_t size;
    /**
     * Frames that this program took.
     */
    uint64_t taken;
    /**
     * Frames that came, and that newer ones took the place of before they were taken.
     */
    uint64_t dropped;
    /**
     * Frames that did not arrive whole, or not at all, or for which no slot was free; 0 by shared memory.
     */
    uint64_t lost;
    /**
     * Frames that their source left out, as it says itself; 0 by shared memory.
     */
    uint64_t skipped;
    /**
     * Bytes of pixels taken.
     */
    uint64_t bytes;
    /**
     * Streams that have been read, the ended ones too.
     */
    uint64_t streams;
    /**
     * How often a stream's hub or sender was gone, and back.
     */
    uint64_t reconnects;
    /**
     * Slots of the streams that are open in which there are frames that were taken and are not released yet.
     */
    uint64_t held;
} fw_source_counts;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * How many formats there are.
 */
size_t fw_format_count(void);

/**
 * What is to be known of the format at this place, from 0 to fw_format_count() less one. `format->size` is set
 * before.
 */
fw_result fw_format_at(size_t index,
                       fw_format *format,
                       fw_error **err);

/**
 * The code of the format with this name: ours, or that of PFNC, Video4Linux, GStreamer, ffmpeg or ROS,
 * whatever its case. 0 and an error where there is none.
 */
uint32_t fw_format_code(const char *name, fw_error **err);

/**
 * The name of the format with this code, such as "bgr24"; NULL where there is none. A static text.
 */
const char *fw_format_name(uint32_t code);

/**
 * Its bytes, all planes one behind the other. NULL of NULL. Borrowed until it is released.
 */
const uint8_t *fw_frame_data(const fw_frame *frame);

/**
 * How many bytes of pixels it has.
 */
size_t fw_frame_bytes(const fw_frame *frame);

/**
 * How many planes it has, 1 to 3.
 */
uint32_t fw_frame_planes(const fw_frame *frame);

/**
 * The bytes of one plane, from 0 on. `*stride` is how many bytes there are from row to row, `*bytes` how many
 * the plane has. NULL, and 0, where there is no such plane.
 */
const uint8_t *fw_frame_plane(const fw_frame *frame, uint32_t plane, size_t *stride, size_t *bytes);

/**
 * Width and height of one plane, from 0 on, in its own pixels. False, and 0, where there is no such plane.
 */
bool fw_frame_plane_size(const fw_frame *frame, uint32_t plane, uint32_t *width, uint32_t *height);

/**
 * Width in pixels; of a frame of bytes, how many there are.
 */
uint32_t fw_frame_width(const fw_frame *frame);

/**
 * Height in pixels.
 */
uint32_t fw_frame_height(const fw_frame *frame);

/**
 * Bytes from row to row of the first plane.
 */
uint32_t fw_frame_stride(const fw_frame *frame);

/**
 * The code of its format: an fw_pixel_format.
 */
uint32_t fw_frame_format(const fw_frame *frame);

/**
 * The name of its format, such as "bgr24". A static text; NULL of NULL.
 */
const char *fw_frame_format_name(const fw_frame *frame);

/**
 * The frame as one array. `array->size` is set before. FW_ERROR with FW_CLASS_FORMAT where its planes make
 * none: use fw_frame_plane_array.
 */
fw_result fw_frame_array(const fw_frame *frame, fw_array *array, fw_error **err);

/**
 * One plane of the frame, from 0 on, as an array. `array->size` is set before.
 */
fw_result fw_frame_plane_array(const fw_frame *frame, uint32_t plane, fw_array *array, fw_error **err);

/**
 * Its number in its stream, from 0 on, without gaps at its source: a gap is frames that did not come.
 */
uint64_t fw_frame_number(const fw_frame *frame);

/**
 * When the picture was taken, on this machine's CLOCK_MONOTONIC; 0 while the clocks of the two machines are
 * not compared yet.
 */
uint64_t fw_frame_captured_ns(const fw_frame *frame);

/**
 * When the picture was taken as UTC, nanoseconds since 1970. False, and 0, where its source did not say.
 */
bool fw_frame_captured_utc_ns(const fw_frame *frame, uint64_t *utc_ns);

/**
 * Nanoseconds from when the picture was taken until it was whole here. False, and 0, where the clocks of the
 * two machines are not compared yet, and of frames that were made on this machine.
 */
bool fw_frame_latency_ns(const fw_frame *frame, uint64_t *latency_ns);

/**
 * Whether every byte of it has come. Only with `partial` are there others.
 */
bool fw_frame_is_complete(const fw_frame *frame);

/**
 * The bytes that have not come, and are zeroes: how many ranges of them there are, in their order. The first
 * `capacity` of them are written to `ranges`, which may be NULL where that is 0.
 */
size_t fw_frame_missing(const fw_frame *frame, fw_range *ranges, size_t capacity);

/**
 * What its source set beside the pixels: `*bytes` bytes that are, as the source says, of `*kind` (an
 * fw_metadata_kind). NULL, and 0, where it set nothing, and of a frame that is not complete. Borrowed until
 * the frame is released.
 */
const uint8_t *fw_frame_metadata(const fw_frame *frame, uint32_t *kind, size_t *bytes);

/**
 * Which slot of its stream it is in, from 0 on, for diagnosis.
 */
uint32_t fw_frame_slot(const fw_frame *frame);

/**
 * What it is of. NULL of NULL. Borrowed until the frame is released.
 */
const fw_stream *fw_frame_stream(const fw_frame *frame);

/**
 * The same frame once more, in the same memory: released by itself. NULL of NULL.
 */
fw_frame *fw_frame_clone(const fw_frame *frame);

/**
 * Gives a frame back; with the last of its clones its slot. It may be NULL.
 */
void fw_frame_release(fw_frame *frame);

/**
 * A key that nobody else has. Freed with fw_key_free.
 */
fw_key *fw_key_random(fw_error **err);

/**
 * The key of a text that fw_key_text gave, here or elsewhere: 43 characters, without what a file may have
 * behind them. Freed with fw_key_free.
 */
fw_key *fw_key_from_text(const char *key, fw_error **err);

/**
 * The key of FW_KEY_BYTES bytes, which must be random: a password is none, whatever is computed from it. Freed
 * with fw_key_free.
 */
fw_key *fw_key_from_bytes(const uint8_t *bytes,
                          fw_error **err);

/**
 * The key as 43 characters, as much of a secret as the key: for a file that nobody else may read, and for no
 * argument, environment or log. NULL of NULL. Borrowed from the key.
 */
const char *fw_key_text(const fw_key *key);

/**
 * What the key is called where it is not to be told: 16 hexadecimal digits, no secret. NULL of NULL. Borrowed
 * from the key.
 */
const char *fw_key_id(const fw_key *key);

/**
 * Frees a key, and overwrites what it was. Sources and outputs that were opened with it keep their own. It may
 * be NULL.
 */
void fw_key_free(fw_key *key);

/**
 * Sends frames to whoever listens on a UDP address, HOST:PORT. Nobody has to listen yet. `options` may be
 * NULL. Freed with fw_output_free.
 */
fw_output *fw_sender_open(const char *address, const fw_output_options *options, fw_error **err);

/**
 * Sends frames to a protected server, which is joined by the line that it prints at its start,
 * framewire://HOST:PORT#TOKEN.PIN, or by the file that it wrote (--join-file). Both prove who they are, frames
 * are encrypted, and the server gives the key. Where it is away, or starts anew, it is waited for;
 * FW_CLASS_REFUSED where it refuses, or is not the one that was joined. `name` is what the stream is called
 * there; it may be NULL. `options` may be NULL; key and protection are left 0. Freed with fw_output_free.
 */
fw_output *fw_sender_join(const char *join,
                          const char *name,
                          const fw_output_options *options,
                          fw_error **err);

/**
 * Shares a stream of this name with other processes of this machine, which read its frames in place. No
 * network. `options` may be NULL. Freed with fw_output_free.
 */
fw_output *fw_publisher_open(const char *name, const fw_output_options *options, fw_error **err);

/**
 * Begins the stream: its frames have this format (an fw_pixel_format), so many pixels, and rows that are
 * `stride` bytes apart in the first plane; 0: one behind the other. Of FW_BYTES, `width` is how many bytes a
 * frame has at most, and `height` is 1. Does nothing where it has begun with the same; FW_CLASS_FORMAT where
 * with another.
 */
fw_result fw_output_begin(const fw_output *output,
                          uint32_t format,
                          uint32_t width,
                          uint32_t height,
                          uint32_t stride,
                          fw_error **err);

/**
 * A slot to write the next frame into, of the stream's format; what an earlier frame left is still in it.
 * `*slot` is NULL unless FW_OK is returned, and then the caller's, who gives it back with fw_slot_send or
 * fw_slot_discard. FW_TIMEOUT where none came free in time; FW_SLOTS_HELD where the caller has them all. The
 * stream has begun (fw_output_begin).
 */
fw_result fw_output_frame(const fw_output *output, int64_t timeout_ns, fw_slot **slot, fw_error **err);

/**
 * Copies a frame into a slot and sends it: `bytes` bytes that lie as the stream's format says, all planes one
 * behind the other. `options` may be NULL. `*number` is the frame's number. FW_TIMEOUT where no slot came free
 * in time; the picture is then counted as skipped. FW_SLOTS_HELD where the caller has them all. The stream has
 * begun (fw_output_begin).
 */
fw_result fw_output_send(const fw_output *output,
                         const uint8_t *data,
                         size_t bytes,
                         const fw_send_options *options,
                         int64_t timeout_ns,
                         uint64_t *number,
                         fw_error **err);

/**
 * Counts a picture that there was no slot for, so that a gap in the numbers has a cause.
 */
void fw_output_skip(const fw_output *output);

/**
 * Waits until the receiver has opened the stream. One that is published is open. FW_TIMEOUT where it has not
 * in time; FW_ERROR with FW_CLASS_REFUSED where it refuses.
 */
fw_result fw_output_wait_open(const fw_output *output, int64_t timeout_ns, fw_error **err);

/**
 * Waits until the fate of every frame sent so far is known at the receiver. What is published has arrived.
 * FW_TIMEOUT where it is not in time.
 */
fw_result fw_output_wait_settled(const fw_output *output, int64_t timeout_ns, fw_error **err);

/**
 * What became of the frames so far. `counts->size` is set before.
 */
fw_result fw_output_stats(const fw_output *output, fw_output_counts *counts, fw_error **err);

/**
 * Where frames go: HOST:PORT of the receiver, or the path of the hub's socket. NULL of NULL. Borrowed from the
 * output.
 */
const char *fw_output_target(const fw_output *output);

/**
 * The cipher that its datagrams are protected by, such as "AES-128-GCM"; NULL where they are plain, by shared
 * memory, and while the stream is not open. A static text.
 */
const char *fw_output_protection(const fw_output *output);

/**
 * Ends the stream: waits at most `timeout_ns` for what was sent to arrive; FW_TIMEOUT where it did not. From
 * then on no frame is taken, and whoever waits for a slot is told. Closing twice is closing once, and says the
 * same.
 */
fw_result fw_output_close(const fw_output *output,
                          int64_t timeout_ns,
                          fw_error **err);

/**
 * Whether it was closed; true of NULL.
 */
bool fw_output_is_closed(const fw_output *output);

/**
 * Frees an output, which nobody uses any more: what has not arrived need not (fw_output_close waits). Slots
 * that are still written into stay until they are given back. It may be NULL.
 */
void fw_output_free(fw_output *output);

/**
 * What a program does about the error; FW_CLASS_NONE of NULL.
 */
fw_class fw_error_class(const fw_error *error);

/**
 * The error's code, such as "no-hub": the same in every version (ERRORS.md lists them). NULL of NULL. Borrowed
 * from the error.
 */
const char *fw_error_code(const fw_error *error);

/**
 * What happened, with the value, and what to do about it: for people, in UTF-8. NULL of NULL. Borrowed from
 * the error.
 */
const char *fw_error_text(const fw_error *error);

/**
 * Frees an error. It may be NULL.
 */
void fw_error_free(fw_error *error);

/**
 * Its bytes, to write; all planes one behind the other. NULL of NULL. They are the caller's alone until the
 * slot is sent or discarded.
 */
uint8_t *fw_slot_data(fw_slot *slot);

/**
 * How many bytes the frame has.
 */
size_t fw_slot_bytes(const fw_slot *slot);

/**
 * How many planes it has, 1 to 3.
 */
uint32_t fw_slot_planes(const fw_slot *slot);

/**
 * The bytes of one plane, from 0 on, to write. `*stride` is how many bytes there are from row to row, `*bytes`
 * how many the plane has. NULL, and 0, where there is no such plane.
 */
uint8_t *fw_slot_plane(fw_slot *slot,
                       uint32_t plane,
                       size_t *stride,
                       size_t *bytes);

/**
 * Width in pixels; of a frame of bytes, how many there are.
 */
uint32_t fw_slot_width(const fw_slot *slot);

/**
 * Height in pixels.
 */
uint32_t fw_slot_height(const fw_slot *slot);

/**
 * Bytes from row to row of the first plane.
 */
uint32_t fw_slot_stride(const fw_slot *slot);

/**
 * The code of its format: an fw_pixel_format.
 */
uint32_t fw_slot_format(const fw_slot *slot);

/**
 * The frame as one array; its offset is counted from fw_slot_data. `array->size` is set before. FW_ERROR with
 * FW_CLASS_FORMAT where its planes make none: use fw_slot_plane_array.
 */
fw_result fw_slot_array(const fw_slot *slot, fw_array *array, fw_error **err);

/**
 * One plane of the frame, from 0 on, as an array; its offset is counted from fw_slot_data. `array->size` is
 * set before.
 */
fw_result fw_slot_plane_array(const fw_slot *slot, uint32_t plane, fw_array *array, fw_error **err);

/**
 * Says how many bytes the frame has: of FW_BYTES 1 to as many as the stream began with, of others exactly what
 * they have. Pointers stay. Bytes beyond the new length are no longer the caller's: metadata may be put there.
 */
fw_result fw_slot_set_length(fw_slot *slot,
                             size_t bytes,
                             fw_error **err);

/**
 * Sets the bytes that go with the frame, in place of those that it had; they are copied. With none, `data` may
 * be NULL. `kind` is an fw_metadata_kind.
 */
fw_result fw_slot_set_metadata(fw_slot *slot,
                               uint32_t kind,
                               const uint8_t *data,
                               size_t bytes,
                               fw_error **err);

/**
 * Says when the picture was taken, on CLOCK_MONOTONIC. 0, the default: when it is sent.
 */
void fw_slot_set_captured_ns(fw_slot *slot, uint64_t captured_ns);

/**
 * Says when the picture was taken as UTC, nanoseconds since 1970, where it has a time of its own, such as that
 * of its place in a file. 0, the default: by the clock of this machine.
 */
void fw_slot_set_captured_utc_ns(fw_slot *slot,
                                 uint64_t captured_utc_ns);

/**
 * Sends the frame, and takes the slot, whatever becomes of it. `*number` is the frame's number. It waits for
 * nobody. FW_ERROR where the output was closed, or cannot go on.
 */
fw_result fw_slot_send(fw_slot *slot, uint64_t *number, fw_error **err);

/**
 * Gives a slot back unsent. It may be NULL.
 */
void fw_slot_discard(fw_slot *slot);

/**
 * Listens on a UDP address of this machine, HOST:PORT, for whoever sends there; port 0 takes a free one
 * (fw_source_address). `options` may be NULL. Freed with fw_source_free.
 */
fw_source *fw_receiver_open(const char *address, const fw_receiver_options *options, fw_error **err);

/**
 * A stream that a server has, by its name: its frames come here, from this machine or another. Returns at
 * once. A stream that is not there yet is waited for, and so are a server that is away and a stream that went
 * (fw_source_trouble). `options` says the server. Where that refuses, or is not the one that was joined,
 * fw_source_next says so: FW_CLASS_REFUSED. Freed with fw_source_free.
 */
fw_source *fw_source_watch(const char *name, const fw_watch_options *options, fw_error **err);

/**
 * Why nothing comes of a stream that is watched, where something is known: its server is away, or has no stream
 * of that name, or sends it and no datagram comes in. Its text is for people; its class is
 * FW_CLASS_TIMEOUT. NULL where nothing is known, and of other sources. Freed with fw_error_free.
 */
fw_error *fw_source_trouble(const fw_source *source);

/**
 * Reads a stream of another process of this machine, in place. `stream` is its name; NULL: the only one that
 * there is. `options` may be NULL. FW_CLASS_UNKNOWN_STREAM where it is not there. Freed with fw_source_free.
 */
fw_source *fw_reader_open(const char *stream, const fw_reader_options *options, fw_error **err);

/**
 * The next frame. Waits for `timeout_ns`: below 0 without end; 0 takes what is there. `*frame` is NULL unless
 * FW_OK is returned, and then the caller's, who gives it back with fw_frame_release. FW_TIMEOUT (without an
 * error), FW_ENDED, FW_SLOTS_HELD where this program has held every slot for 80 ms, FW_INTERRUPTED, FW_ERROR.
 * A signal does not end it: programs that handle one wait in steps, or by fw_source_fd, or close the source in
 * another thread.
 */
fw_result fw_source_next(const fw_source *source,
                         int64_t timeout_ns,
                         fw_frame **frame,
                         fw_error **err);

/**
 * The newest frame of those that wait, the others given back; as fw_source_next where none does.
 */
fw_result fw_source_latest(const fw_source *source, int64_t timeout_ns, fw_frame **frame, fw_error **err);

/**
 * A descriptor for poll, epoll and what is built on it: readable while there may be a frame to take or an end
 * to learn of. Once it is, call fw_source_next with a timeout of 0 until that returns FW_TIMEOUT. It is only
 * to be waited for; the source's, which closes it. That all slots are held is told by fw_source_next alone. -1
 * where there is none.
 */
int32_t fw_source_fd(const fw_source *source,
                     fw_error **err);

/**
 * What became of the frames so far. `counts->size` is set before.
 */
fw_result fw_source_stats(const fw_source *source, fw_source_counts *counts, fw_error **err);

/**
 * The streams that are open at this moment. Freed with fw_streams_free.
 */
fw_streams *fw_source_streams(const fw_source *source, fw_error **err);

/**
 * HOST:PORT listened on, with the real port; NULL by shared memory. Borrowed from the source.
 */
const char *fw_source_address(const fw_source *source);

/**
 * Ends it: who waits for a frame of it is told (FW_CLASS_CLOSED), and so is whoever asks later. Frames that
 * were taken stay. It may be called from any thread, though not in a signal's handler. Closing twice is
 * closing once.
 */
void fw_source_close(const fw_source *source);

/**
 * Whether it was closed; true of NULL.
 */
bool fw_source_is_closed(const fw_source *source);

/**
 * Closes and frees a source, which nobody uses any more. Frames that were taken stay. It may be NULL.
 */
void fw_source_free(fw_source *source);

/**
 * The streams that processes of this machine share: at every hub, or at the one that is named. `hub` may be
 * NULL; else it is the port of a server, the name of a publisher, or the path of a socket. It takes a
 * millisecond, and up to 0.6 s where a hub does not answer; one that is named and is not there, or does not
 * answer within 5 s, is an error. Freed with fw_streams_free.
 */
fw_streams *fw_shared_streams(const char *hub, fw_error **err);

/**
 * How many streams there are in a list.
 */
size_t fw_streams_count(const fw_streams *streams);

/**
 * The stream at this place of a list, from 0 on; NULL where there is none. Borrowed from the list.
 */
const fw_stream *fw_streams_at(const fw_streams *streams, size_t index);

/**
 * Frees a list of streams. It may be NULL.
 */
void fw_streams_free(fw_streams *streams);

/**
 * What it is called at its hub; of one that comes over the network, its number.
 */
const char *fw_stream_name(const fw_stream *stream);

/**
 * The code of its format: an fw_pixel_format.
 */
uint32_t fw_stream_format(const fw_stream *stream);

/**
 * The name of its format, such as "bgr24". A static text.
 */
const char *fw_stream_format_name(const fw_stream *stream);

/**
 * Width in pixels.
 */
uint32_t fw_stream_width(const fw_stream *stream);

/**
 * Height in pixels.
 */
uint32_t fw_stream_height(const fw_stream *stream);

/**
 * Bytes from row to row of the first plane.
 */
uint32_t fw_stream_stride(const fw_stream *stream);

/**
 * Frames a second, as its source said: `*numerator` / `*denominator`. False, and 0 / 1, where it did not say.
 */
bool fw_stream_rate(const fw_stream *stream, uint32_t *numerator, uint32_t *denominator);

/**
 * Whether it loses nothing: an fw_delivery.
 */
uint32_t fw_stream_delivery(const fw_stream *stream);

/**
 * Bytes of metadata that each of its frames may have.
 */
size_t fw_stream_metadata_max(const fw_stream *stream);

/**
 * HOST:PORT of its sender; NULL by shared memory.
 */
const char *fw_stream_peer(const fw_stream *stream);

/**
 * Where the socket of its hub is, in what fw_shared_streams says; NULL elsewhere.
 */
const char *fw_stream_hub(const fw_stream *stream);

/**
 * The cipher that its datagrams are protected by, such as "AES-128-GCM"; NULL where they are plain, and by
 * shared memory. A static text.
 */
const char *fw_stream_protection(const fw_stream *stream);

/**
 * How its frames come to whoever hands them out: "udp" or "shm"; NULL where they are made there. A static
 * text.
 */
const char *fw_stream_path(const fw_stream *stream);

/**
 * The version of the library that runs, such as "0.1.0". A static text.
 */
const char *fw_version(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* FRAMEWIRE_H */
