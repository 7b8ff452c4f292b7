/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages as the library sees them: posted, waited for, taken back. They move whenever some
 * thread of the rank waits for one; while nobody does and something is left to be done, a
 * helper of the link's waits in their place, so that a send needs nobody who looks after it.
 */
#include "transport/shm/messages.h"

#include "base/error.h"

mls_status shm_mail_init(shm_mail *mail)
{
    mls_status status = mls__mutex_init(&mail->mutex);
    if (status)
        return status;
    status = mls__cond_init(&mail->changed);
    if (status)
        pthread_mutex_destroy(&mail->mutex);
    mail->parcels_end = &mail->parcels;
    mail->arrivals_end = &mail->arrivals;
    return status;
}

void shm_mail_clear(shm_link *link)
{
    while (link->mail.parcels)
        shm_parcel_remove(link, link->mail.parcels);
    while (link->mail.arrivals)
        shm_arrival_remove(link, link->mail.arrivals);
    mls__cond_destroy(&link->mail.changed);
    pthread_mutex_destroy(&link->mail.mutex);
}

/* --- the helper ------------------------------------------------------------------------------ */

static void *help(void *arg)
{
    shm_link *link = arg;
    shm_mail *mail = &link->mail;
    pthread_mutex_lock(&mail->mutex);
    while (!mail->stops) {
        if (mail->waiters || !shm_frames_are_left(link)) {
            mls__cond_wait_until(&mail->changed, &mail->mutex, MLS__FOREVER);
            continue;
        }
        const uint32_t seen = shm_bell(link);
        shm_frames_move(link);
        pthread_mutex_unlock(&mail->mutex);
        shm_sleep(link, seen, MLS__FOREVER);
        pthread_mutex_lock(&mail->mutex);
    }
    pthread_mutex_unlock(&mail->mutex);
    return NULL;
}

/* If something is left that nobody waits for. */
static mls_status call_helper(shm_link *link)
{
    shm_mail *mail = &link->mail;
    if (mail->stops || mail->waiters || !shm_frames_are_left(link))
        return MLS_OK;
    if (!mail->has_helper) {
        const mls_status status = mls__thread_create(&mail->helper, "mls-shm", help, link);
        mail->has_helper = !status;
        return status;
    }
    pthread_cond_signal(&mail->changed.cond);
    return MLS_OK;
}

/* --- posting, waiting, taking back ----------------------------------------------------------- */

static mls_status add(shm_link *link, mls_transport_message *message, shm_parcel **ret_parcel)
{
    const mls_plugin_host *host = link->hub->host;
    shm_parcel *parcel = host->alloc(host->context, sizeof *parcel);
    if (!parcel)
        return host->error(MLS_ENOMEM, "out of memory: the allocator refused %zu bytes",
                           sizeof *parcel);
    *parcel = (shm_parcel){.message = message,
                           .kind = message->kind,
                           .peer = message->peer,
                           .id = ++link->mail.next_id};
    *link->mail.parcels_end = parcel;
    link->mail.parcels_end = &parcel->next;
    message->owner = parcel;
    message->status = MLS_OK;
    message->phase = MESSAGE_POSTED;
    *ret_parcel = parcel;
    return MLS_OK;
}

static bool has_ended(const mls_transport_message *message)
{
    return message->phase == MESSAGE_ENDED;
}

/* Ends a message by this rank; the other side learns of a send that it may know. */
static void withdraw(shm_link *link, mls_transport_message *message, mls_status status)
{
    shm_parcel *parcel = message->owner;
    shm_arrival *arrival = parcel->arrival;
    if (parcel->kind == MLS_MESSAGE_SEND && parcel->state != PARCEL_NEW) {
        parcel->message = NULL;
        message->status = status;
        message->phase = MESSAGE_ENDED;
        message->owner = NULL;
        shm_ring(link, link->rank);
        return;
    }
    shm_parcel_end(link, parcel, status);
    if (arrival) { /* as if it had not been matched */
        arrival->reply = 0;
        shm_match_arrival(link, arrival);
    }
}

/* MLS_ETIMEDOUT: it has not ended. */
static mls_status look(const shm_link *link, const mls_transport_message *message)
{
    if (has_ended(message))
        return (mls_status) message->status;
    if (shm_is_aborted(link) || shm_fate_of(link, link->rank) != SHM_ALIVE)
        return MLS_ECANCELLED;
    return shm_fate_of(link, message->peer) != SHM_ALIVE ? MLS_EPEER : MLS_ETIMEDOUT;
}

/* What a rank sent before it left is taken first. */
static mls_status move_and_look(shm_link *link, const mls_transport_message *message)
{
    const bool is_gone = shm_fate_of(link, message->peer) != SHM_ALIVE;
    shm_frames_move(link);
    const mls_status status = look(link, message);
    return status == MLS_EPEER && !is_gone ? MLS_ETIMEDOUT : status;
}

mls_status shm_post(void *self, mls_transport_message *message)
{
    shm_link *link = self;
    shm_frame *frame;
    shm_parcel *parcel;
    pthread_mutex_lock(&link->mail.mutex);
    mls_status status = MLS_OK;
    shm_frames_move(link);                 /* what was taken back before this is met by nobody */
    if (message->kind == MLS_MESSAGE_SEND) /* so that memory that is full is known at once */
        status = shm_channel_place(link, message->peer, &frame);
    if (!status)
        status = add(link, message, &parcel);
    if (!status) {
        if (message->kind == MLS_MESSAGE_RECEIVE)
            shm_match_parcel(link, parcel);
        shm_frames_move(link);
        if (!has_ended(message) && !(message->tag >> 63)) /* exchanges are waited for */
            status = call_helper(link);
        if (status)
            withdraw(link, message, status);
    }
    pthread_mutex_unlock(&link->mail.mutex);
    return status;
}

mls_status shm_wait(void *self, mls_transport_message *message, uint64_t until_ns)
{
    shm_link *link = self;
    bool in_time = true;
    mls_status status;
    pthread_mutex_lock(&link->mail.mutex);
    link->mail.waiters++;
    for (;;) {
        const uint32_t seen = shm_bell(link);
        status = has_ended(message) ? (mls_status) message->status : move_and_look(link, message);
        if (status != MLS_ETIMEDOUT || !in_time)
            break;
        pthread_mutex_unlock(&link->mail.mutex);
        if (!shm_is_rung_soon(link, seen, until_ns))
            in_time = shm_sleep(link, seen, until_ns);
        pthread_mutex_lock(&link->mail.mutex);
    }
    link->mail.waiters--;
    if (status != MLS_ETIMEDOUT && !has_ended(message))
        withdraw(link, message, status);
    shm_frames_move(link);
    call_helper(link);
    pthread_mutex_unlock(&link->mail.mutex);
    return status;
}

mls_status shm_retract(void *self, mls_transport_message *message)
{
    shm_link *link = self;
    pthread_mutex_lock(&link->mail.mutex);
    if (!has_ended(message))
        shm_frames_move(link);
    if (!has_ended(message)) {
        withdraw(link, message, MLS_ECANCELLED);
        shm_frames_move(link); /* says so at once, if there is room */
    }
    const mls_status status = (mls_status) message->status;
    call_helper(link);
    pthread_mutex_unlock(&link->mail.mutex);
    return status;
}

void shm_mail_end(shm_link *link)
{
    shm_mail *mail = &link->mail;
    pthread_mutex_lock(&mail->mutex);
    for (shm_parcel *parcel = mail->parcels, *next; parcel; parcel = next) {
        next = parcel->next;
        if (parcel->message)
            shm_parcel_end(link, parcel, MLS_ECANCELLED);
        else
            shm_parcel_remove(link, parcel);
    }
    const bool has_helper = mail->has_helper;
    mail->has_helper = false;
    mail->stops = true;
    pthread_cond_signal(&mail->changed.cond);
    shm_ring(link, link->rank);
    pthread_mutex_unlock(&mail->mutex);
    if (has_helper)
        pthread_join(mail->helper, NULL);
}
