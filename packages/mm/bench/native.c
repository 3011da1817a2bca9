/* What the machine below does for real: the other half of each ratio that the benchmark prints. One number a line. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL
#define ROUNDS 5

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static double median(double *values) {
  qsort(values, ROUNDS, sizeof *values, ascending);
  return values[ROUNDS / 2];
}

static char *map(size_t bytes) {
  char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    perror("mmap");
    exit(1);
  }
  madvise(memory, bytes, MADV_NOHUGEPAGE);
  return memory;
}

static void touch(volatile char *memory, size_t bytes) {
  for (size_t at = 0; at < bytes; at += PAGE) memory[at] = 1;
}

int main(void) {
  double fault[ROUNDS], unmap[ROUNDS], forked[ROUNDS], copied[ROUNDS];
  const size_t part = 256UL << 20, whole = 1UL << 30;
  for (int round = 0; round < ROUNDS; round++) {
    char *memory = map(part);
    double start = now_ns();
    touch(memory, part);
    double touched = now_ns();
    munmap(memory, part);
    double gone = now_ns();
    fault[round] = (touched - start) / (part / PAGE);
    unmap[round] = (gone - touched) / (part / PAGE);
  }
  char *parent = map(whole);
  touch(parent, whole);
  for (int round = 0; round < ROUNDS; round++) {
    double start = now_ns();
    pid_t child = fork();
    if (child == 0) _exit(0);
    forked[round] = now_ns() - start;
    waitpid(child, NULL, 0);
  }
  munmap(parent, whole);
  const size_t copy = 64UL << 20;
  char *from = map(copy), *to = map(copy);
  memset(from, 1, copy);
  memset(to, 2, copy);
  for (int round = 0; round < ROUNDS; round++) {
    double start = now_ns();
    memcpy(to, from, copy);
    copied[round] = (now_ns() - start) / (copy / PAGE);
  }
  printf("fault_ns %.1f\nunmap_ns %.1f\nfork_gib_ns %.0f\nmemcpy_page_ns %.1f\n", median(fault), median(unmap), median(forked), median(copied));
  return 0;
}
