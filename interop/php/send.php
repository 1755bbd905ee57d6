<?php
// php send.php '{"SMTPSecure": "tls", ..., "to": "..."}': one letter by PHPMailer, its properties as given.
foreach (['Exception', 'PHPMailer', 'SMTP'] as $class) {
    require "/usr/share/php/libphp-phpmailer/src/$class.php";
}
$given = json_decode($argv[1], true);
$mail = new PHPMailer\PHPMailer\PHPMailer(true);
$mail->isSMTP();
$mail->Timeout = 20;
foreach ($given['properties'] as $name => $value) {
    $mail->$name = $value;
}
try {
    $mail->setFrom($given['from']);
    $mail->addAddress($given['to']);
    $mail->Subject = $given['subject'];
    $mail->Body = $given['body'];
    $mail->send();
    echo $mail->getSMTPInstance()->getLastReply();
} catch (PHPMailer\PHPMailer\Exception $error) {
    fwrite(STDERR, $error->getMessage() . ' ' . $mail->getSMTPInstance()->getLastReply() . "\n");
    exit(1);
}
