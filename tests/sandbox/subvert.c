/* SPDX-License-Identifier: MIT */
/* A device by which a guest, or nobody, "subverts" the emulator: linked with the whole of it into a program of this test only, it
 * makes a thread of the wanted kind do what an attacker would, after the sandbox has been shut, and says what came of it.
 *
 *   -device subvert,thread=KIND,attack=NAME[,path=FILE]      attack=list: the names
 *
 * Exit status: 0 refused with an error, 99 it worked, 70 the sandbox ended the run. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/hostfile.h"
#include "base/thread.h"
#include "frontend/broker.h"
#include "hw/device.h"

#define PORT 0x5e0
#define WORKED 99

struct subvert {
	struct device device;
	char *thread, *attack, *path; /* options */
	struct region region;
	struct timer timer;
	int go[2]; /* a pipe: the thread that waits attacks when it is written to */
};

/* What an attacker in this process knows. */
static struct {
	const char *path; /* a file of the user's that is not this guest's */
	pid_t parent, broker;
	int to_broker;
} known;

/* ---- attacks: true if it worked; else errno ---- */

static bool worked(long result) { return result >= 0; }

static bool open_file(void) { return worked(open(known.path, O_RDONLY)); }
static bool open_write(void) { return worked(open(known.path, O_RDWR)); }
static bool open_passwd(void) { return worked(open("/etc/passwd", O_RDONLY)); }
static bool open_old(void) { return worked(syscall(SYS_openat, AT_FDCWD, known.path, O_RDONLY, 0)); }
static bool open_how(void) { u64 how[3] = {O_RDONLY}; return worked(syscall(437, AT_FDCWD, known.path, how, sizeof how)); }
static bool open_handle(void)
{
	struct file_handle *handle = calloc(1, sizeof *handle + MAX_HANDLE_SZ);
	int mount;

	handle->handle_bytes = MAX_HANDLE_SZ;
	return worked(name_to_handle_at(AT_FDCWD, known.path, handle, &mount, 0));
}
static bool open_create(void) { return worked(open("/tmp/paisano-subverted", O_CREAT | O_WRONLY, 0600)); }
static bool open_memory(void) { return worked(open("/proc/self/mem", O_RDWR)); }
static bool open_self(void) { return worked(open("/proc/self/maps", O_RDONLY)); }
static bool open_of(pid_t pid, const char *what)
{
	char name[64];

	snprintf(name, sizeof name, "/proc/%d/%s", pid, what);
	return worked(open(name, O_RDWR));
}
static bool open_parent(void) { return open_of(known.parent, "mem"); }
static bool open_broker(void) { return open_of(known.broker, "mem"); }
static bool open_broker_fd(void) { return open_of(known.broker, "fd/4"); }
static bool look_at(void) { struct stat st; return worked(stat(known.path, &st)); }
static bool look_at_link(void) { char to[64]; return worked(readlink("/proc/self/exe", to, sizeof to)); }
static bool list_folder(void) { DIR *d = opendir("/"); return d && readdir(d); }
static bool dents(void) { char text[512]; return worked(syscall(SYS_getdents64, 0, text, sizeof text)); }
static bool remove_file(void) { return worked(unlink(known.path)); }
static bool rename_file(void) { return worked(rename(known.path, "/tmp/paisano-subverted")); }
static bool link_file(void) { return worked(link(known.path, "/tmp/paisano-subverted")); }
static bool cut_file(void) { return worked(truncate(known.path, 0)); }
static bool mode_of_file(void) { return worked(chmod(known.path, 0777)); }
static bool make_folder(void) { return worked(mkdir("/tmp/paisano-subverted", 0700)); }
static bool change_folder(void) { return worked(chdir("/etc")); }
static bool watch_files(void) { return worked(inotify_add_watch(inotify_init1(0), "/etc", IN_MODIFY)); }

static bool run_program(void) { return worked(execl("/bin/true", "true", NULL)); }
static bool run_memory(void) { return worked(syscall(SYS_execveat, 0, "", (char *[]){NULL}, (char *[]){NULL}, AT_EMPTY_PATH)); }
static bool new_process(void) { long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); if (!pid) _exit(0); return worked(pid); }
static bool new_process_3(void)
{
	u64 args[8] = {[4] = SIGCHLD};
	long pid = syscall(435, args, sizeof args);

	if (!pid)
		_exit(0);
	return worked(pid);
}
static bool new_namespace(void) { return worked(unshare(CLONE_NEWUSER)); }
static bool enter_namespace(void) { return worked(setns(0, 0)); }

static bool reach(int family, const void *address, socklen_t len)
{
	int fd = socket(family, SOCK_STREAM, 0);

	return fd >= 0 && (worked(connect(fd, address, len)) || errno == ECONNREFUSED);
}
static bool reach_network(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(22), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	return reach(AF_INET, &to, sizeof to);
}
static bool reach_unix(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "/run/dbus/system_bus_socket"};

	return reach(AF_UNIX, &to, sizeof to);
}
static bool reach_abstract(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "\0paisano"};

	return reach(AF_UNIX, &to, sizeof to);
}
static bool send_elsewhere(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "\0paisano"};

	return worked(sendto(known.to_broker, "x", 1, 0, (struct sockaddr *)&to, sizeof to));
}
static bool connect_again(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "\0paisano"};

	return worked(connect(known.to_broker, (struct sockaddr *)&to, sizeof to));
}
static bool make_pair(void) { int pair[2]; return worked(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair)); }

static bool trace_parent(void) { return worked(ptrace(PTRACE_ATTACH, known.parent, 0, 0)); }
static bool trace_broker(void) { return worked(ptrace(PTRACE_SEIZE, known.broker, 0, 0)); }
static bool read_of(pid_t pid)
{
	char byte;
	struct iovec here = {&byte, 1}, there = {&known, 1};

	return worked(process_vm_readv(pid, &here, 1, &there, 1, 0));
}
static bool read_parent(void) { return read_of(known.parent); }
static bool read_broker(void) { return read_of(known.broker); }
static bool signal_parent(void) { return worked(kill(known.parent, SIGURG)); }
static bool signal_broker(void) { return worked(kill(known.broker, SIGKILL)); }
static bool signal_thread(void) { return worked(syscall(SYS_tgkill, known.broker, known.broker, SIGKILL)); }
static bool signal_any(void) { return worked(syscall(SYS_tkill, known.broker, SIGKILL)); }
static bool signal_queue(void)
{
	siginfo_t info = {.si_code = SI_QUEUE};
	return worked(syscall(SYS_rt_sigqueueinfo, known.broker, SIGKILL, &info));
}
static bool signal_owner(void) { return worked(fcntl(known.to_broker, F_SETOWN, known.parent)); }
static bool process_handle(void) { return worked(syscall(434, known.broker, 0)); }
static bool handle_descriptor(void) { return worked(syscall(438, 0, 3, 0)); }

static bool become_root(void) { return worked(syscall(SYS_setuid, 0)); }
static bool become_other(void) { return worked(syscall(SYS_setuid, 12345)); }
static bool set_groups(void) { return worked(syscall(SYS_setgroups, 0, NULL)); }
static bool raise_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct all[2] = {{~0u, ~0u, ~0u}, {~0u, ~0u, ~0u}};

	return worked(syscall(SYS_capset, &head, all));
}
static bool mount_folder(void) { return worked(mount(known.path, known.path, NULL, MS_BIND, NULL)); }
static bool change_root(void) { return worked(chroot("/tmp")); }
static bool restart_host(void) { return worked(syscall(SYS_reboot, 0, 0, 0, 0)); }
static bool load_module(void) { return worked(syscall(SYS_finit_module, 0, "", 0)); }
static bool load_kernel(void) { return worked(syscall(SYS_kexec_load, 0, 0, NULL, 0)); }
static bool raise_limit(void) { struct rlimit l = {1, 1}; return worked(setrlimit(RLIMIT_CORE, &l)); }
static bool raise_other_limit(void) { struct rlimit l = {1, 1}; return worked(prlimit(known.parent, RLIMIT_CORE, &l, NULL)); }
static bool set_priority(void) { return worked(setpriority(PRIO_PROCESS, known.parent, 5)); }
static bool be_dumpable(void) { return worked(prctl(PR_SET_DUMPABLE, 1)); }
static bool be_subreaper(void) { return worked(prctl(PR_SET_CHILD_SUBREAPER, 1)); }

static bool program_kernel(void)
{
	union bpf_attr a = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
	return worked(syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof a));
}
static bool use_ring(void) { struct io_uring_params p = {0}; return worked(syscall(425, 4, &p)); }
static bool use_keys(void) { return worked(syscall(SYS_keyctl, 0, -3, 1)); }
static bool count_events(void)
{
	struct perf_event_attr a = {.size = sizeof a};
	return worked(syscall(SYS_perf_event_open, &a, 0, -1, -1, 0));
}
static bool catch_faults(void) { return worked(syscall(SYS_userfaultfd, 1)); }
static bool shared_memory(void) { return worked(shmget(IPC_PRIVATE, 4096, 0600 | IPC_CREAT)); }
static bool messages(void) { return worked(syscall(SYS_msgget, 0, 0600 | 01000)); }

static bool code_new(void) { return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED; }
static bool code_writable(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}
static bool code_of_data(void)
{
	void *data = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return worked(mprotect(data, 4096, PROT_READ | PROT_EXEC));
}
static bool code_of_data_key(void)
{
	void *data = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return worked(syscall(SYS_pkey_mprotect, data, 4096, PROT_READ | PROT_EXEC, -1));
}
static bool less_filter(void)
{
	struct {
		u16 len;
		void *filter;
	} none = {0};
	return worked(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &none));
}
static bool own_handler(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	return worked(sigaction(SIGSYS, &ignore, NULL));
}
static bool type_into_shell(void) { return worked(ioctl(0, TIOCSTI, "x")); }
static bool other_ioctl(void) { return worked(ioctl(known.to_broker, 0x8912 /* SIOCGIFCONF */, NULL)); }
static bool wide_ioctl(void) { return worked(syscall(SYS_ioctl, 0, (1ull << 32) | TIOCSTI, "x")); }
#ifdef __x86_64__
static bool old_entry(void)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(20 /* getpid */) : "memory");
	return worked(result);
}
static bool x32_entry(void) { return worked(syscall(0x40000000 | SYS_getpid)); }
#endif

/* The broker: what it may do it does for the user's words only. */
static bool ask(u32 op, const char *path, int flags, const int *give, unsigned count)
{
	struct broker_request request = {.op = op, .flags = flags};
	struct broker_reply reply = {.error = EIO};
	int fd = -1;

	snprintf(request.path, sizeof request.path, "%s", path);
	if (broker_send(known.to_broker, &request, sizeof request, give, count))
		broker_receive(known.to_broker, &reply, sizeof reply, &fd, 1);
	errno = reply.error;
	return !reply.error;
}
static bool broker_opens(void) { return worked(hostfile_open(known.path, O_RDONLY, 0)); }
static bool broker_writes(void) { return worked(hostfile_open(known.path, O_RDWR, 0)); }
static bool broker_creates(void) { return worked(hostfile_open(known.path, O_WRONLY | O_CREAT | O_TRUNC, 0600)); }
static bool broker_looks(void) { return worked(hostfile_open(known.path, O_PATH, 0)); }
static bool broker_removes(void) { return !hostfile_remove(known.path); }
static bool broker_will_remove(void) { return ask(BROKER_REMOVE_AT_END, known.path, 0, NULL, 0); }
static bool broker_no_path(void) { return ask(BROKER_REMOVE, "", 0, NULL, 0); }
static bool broker_reads_us(void) { int fds[] = {known.to_broker}; return ask(BROKER_INPUT, "", 0, fds, 1); }
static bool broker_listens(void) { int fds[] = {known.to_broker}; return ask(BROKER_LISTEN, "", 0, fds, 1); }
static bool broker_shuts_again(void) { return ask(BROKER_SHUT, "", 0, NULL, 0); }
static bool broker_writes_all(void) { return ask(BROKER_WRITES, "ide1-cd0", 0, NULL, 0); }
static bool broker_unknown(void) { return ask(12345, "", 0, NULL, 0); }
static bool broker_bogus(void)
{
	static struct broker_request request;
	struct broker_reply reply;
	int fds[2] = {0, 1}, fd;

	/* too short, empty, without an end, too long, with descriptors that nobody wants; each has its reply */
	memset(&request, 'x', sizeof request);
	const size_t sizes[] = {1, sizeof request - 1, sizeof request};
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++)
		if (!broker_send(known.to_broker, &request, sizes[i], fds, i) ||
		    !broker_receive(known.to_broker, &reply, sizeof reply, &fd, 1) || !reply.error)
			return true;
	return broker_opens();
}

static const struct attack {
	const char *name;
	bool (*run)(void);
	const char *on; /* the only kind of thread that it makes sense on; NULL: any */
} attacks[] = {
#define A(name) {#name, name, NULL}
#define BROKER(name) {#name, name, "main"}
	A(open_file), A(open_write), A(open_passwd), A(open_old), A(open_how), A(open_handle), A(open_create), A(open_memory),
	A(open_self), A(open_parent), A(open_broker), A(open_broker_fd), A(look_at), A(look_at_link), A(list_folder), A(dents),
	A(remove_file), A(rename_file), A(link_file), A(cut_file), A(mode_of_file), A(make_folder), A(change_folder), A(watch_files),
	A(run_program), A(run_memory), A(new_process), A(new_process_3), A(new_namespace), A(enter_namespace), A(reach_network),
	A(reach_unix), A(reach_abstract), A(send_elsewhere), A(connect_again), A(make_pair), A(trace_parent), A(trace_broker),
	A(read_parent), A(read_broker), A(signal_parent), A(signal_broker), A(signal_thread), A(signal_any), A(signal_queue),
	A(signal_owner), A(process_handle), A(handle_descriptor), A(become_root), A(become_other), A(set_groups),
	A(raise_capabilities), A(mount_folder), A(change_root), A(restart_host), A(load_module), A(load_kernel), A(raise_limit),
	A(raise_other_limit), A(set_priority), A(be_dumpable), A(be_subreaper), A(program_kernel), A(use_ring), A(use_keys),
	A(count_events), A(catch_faults), A(shared_memory), A(messages), A(code_new), A(code_writable), A(code_of_data),
	A(code_of_data_key), A(less_filter), A(own_handler), A(type_into_shell), A(other_ioctl), A(wide_ioctl),
#ifdef __x86_64__
	A(old_entry), A(x32_entry),
#endif
	BROKER(broker_opens), BROKER(broker_writes), BROKER(broker_creates), BROKER(broker_looks), BROKER(broker_removes),
	BROKER(broker_will_remove), BROKER(broker_no_path), BROKER(broker_reads_us), BROKER(broker_listens),
	BROKER(broker_shuts_again), BROKER(broker_writes_all), BROKER(broker_unknown), BROKER(broker_bogus),
#undef A
#undef BROKER
};

/* ---- on a thread of the wanted kind ---- */

static void attack(void *opaque)
{
	const struct subvert *s = opaque;
	char line[128];

	for (unsigned i = 0; i < ARRAY_LEN(attacks); i++) {
		if (strcmp(attacks[i].name, s->attack))
			continue;
		errno = 0;
		bool came_through = attacks[i].run();
		int n = snprintf(line, sizeof line, "subvert: %s %s: %s\n", thread_name(thread_kind()), s->attack,
		                 came_through ? "WORKED" : strerrorname_np(errno));
		if (write(STDERR_FILENO, line, (size_t)n) != n)
			_exit(WORKED);
		_exit(came_through ? WORKED : 0);
	}
}

static void *wait_and_attack(void *opaque)
{
	struct subvert *s = opaque;
	char byte;

	if (read(s->go[0], &byte, 1) == 1)
		attack(s);
	return NULL;
}

static void *start_and_attack(void *opaque)
{
	struct subvert *s = opaque;
	pthread_t thread;
	char byte;

	if (read(s->go[0], &byte, 1) == 1 && !thread_start(&thread, THREAD_NETWORK, (void *(*)(void *))(void *)attack, s))
		pthread_join(thread, NULL);
	return NULL;
}

static void nothing(void *opaque) { (void)opaque; }

static void on_time(void *opaque)
{
	struct subvert *s = opaque;

	if (!strcmp(s->thread, "main")) /* timers that are late may fire elsewhere */
		loop_post(s->device.machine->loop, attack, s);
	else if (!strcmp(s->thread, "worker"))
		loop_work(s->device.machine->loop, attack, nothing, s);
	else if (write(s->go[1], "", 1) != 1)
		abort();
}

static u64 port_read(void *opaque, u64 offset, unsigned size)
{
	(void)opaque, (void)offset, (void)size;
	return 0;
}

static void port_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct subvert *s = opaque;

	(void)offset, (void)value, (void)size;
	if (!strcmp(s->thread, "vcpu"))
		attack(s);
}
static const struct region_ops port_ops = {.read = port_read, .write = port_write, .max = 4};

/* ---- the device ---- */

static pid_t child(void)
{
	char name[64];
	int pid = 0;

	snprintf(name, sizeof name, "/proc/self/task/%d/children", getpid());
	FILE *f = fopen(name, "re");
	if (f && fscanf(f, "%d", &pid) != 1)
		pid = 0;
	if (f)
		fclose(f);
	return pid;
}

static int find_broker_socket(void)
{
	for (int fd = 3; fd < 64; fd++) {
		int type = 0;
		socklen_t len = sizeof type;
		if (!getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) && type == SOCK_SEQPACKET)
			return fd;
	}
	return -1;
}

static void list(void)
{
	for (unsigned i = 0; i < ARRAY_LEN(attacks); i++)
		printf("%s %s\n", attacks[i].name, attacks[i].on ? attacks[i].on : "any");
	exit(0);
}

static bool init(struct device *device, struct err *err)
{
	struct subvert *s = (struct subvert *)device;
	pthread_t thread;

	if (!s->attack || !strcmp(s->attack, "list"))
		list();
	known.path = s->path;
	known.parent = getppid();
	known.broker = child() ?: getpid(); /* without one, let nobody else be hit */
	known.to_broker = find_broker_socket();
	s->region = (struct region){.name = "subvert", .size = 1, .ops = &port_ops, .opaque = s};
	bus_map_io(device->machine->bus, &s->region, PORT);
	timer_init(&s->timer, device->machine->clock, on_time, s);
	if (pipe2(s->go, O_CLOEXEC))
		return err_set(err, EXIT_HOST, "subvert: no pipe");
	/* "started": one that a thread of the network's display starts after the sandbox was shut */
	bool by_other = !strcmp(s->thread, "started");
	for (enum thread_kind kind = THREAD_TIMER; kind < THREAD_BROKER; kind++)
		if (!strcmp(s->thread, by_other && kind == THREAD_NETWORK ? "started" : thread_name(kind)))
			return !thread_start(&thread, kind, by_other ? start_and_attack : wait_and_attack, s);
	if (!strcmp(s->thread, thread_name(THREAD_FOREIGN)))
		return !pthread_create(&thread, NULL, wait_and_attack, s);
	return true;
}

static void reset(struct device *device)
{
	struct subvert *s = (struct subvert *)device;

	if (strcmp(s->thread, "vcpu"))
		timer_arm(&s->timer, clock_now(device->machine->clock) + NS_PER_S / 1000);
}

static const struct option_key options[] = {
	{"thread", OPTION_STRING, offsetof(struct subvert, thread), 0, 0, "main, vcpu, worker, ..."},
	{"attack", OPTION_STRING, offsetof(struct subvert, attack), 0, 0, "which, or list"},
	{"path", OPTION_STRING, offsetof(struct subvert, path), 0, 0, "a file that is not the guest's"},
	{0},
};

DEVICE(subvert) = {
	.name = "subvert",
	.desc = "does what an attacker would",
	.size = sizeof(struct subvert),
	.options = options,
	.user = true,
	.init = init,
	.reset = reset,
};
